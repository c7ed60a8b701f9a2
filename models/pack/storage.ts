/**
 * Where a pack's bytes are read from: a folder (Node), R2 or static assets (workerd). Implementations live with their platform; the loader in
 * `wasm/engine` sees only this.
 */
export interface PackStorage {
  /** The text of `manifest.json`. Throws if there is none. */
  manifest(): Promise<string>;
  /**
   * Reads a whole file into `into`, whose length is the file's size in the manifest. Throws an Error that names the file when it is missing, short or long.
   * `into` may be a view of WASM memory: implementations must not detach or keep it.
   */
  read(name: string, into: Uint8Array): Promise<void>;
}
