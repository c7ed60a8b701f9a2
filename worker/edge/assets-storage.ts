import type { PackStorage } from '../../models/pack/storage.ts';

/** What is needed of an assets binding. */
export interface AssetFetcher {
  fetch(url: string): Promise<Response>;
}

/** A small pack among the Worker's static assets. `arrayBuffer()` and not the stream's default reader, which is seven times slower. */
export class AssetsStorage implements PackStorage {
  readonly #assets: AssetFetcher;
  readonly #prefix: string;

  constructor(assets: AssetFetcher, prefix: string) {
    this.#assets = assets;
    this.#prefix = prefix;
  }

  async manifest(): Promise<string> {
    return (await this.#get('manifest.json')).text();
  }

  async read(name: string, into: Uint8Array): Promise<void> {
    const bytes = new Uint8Array(await (await this.#get(name)).arrayBuffer());
    if (bytes.length !== into.length)
      throw new Error(`The asset ${name} has ${bytes.length} bytes, the manifest says ${into.length}: make the pack again.`);
    into.set(bytes);
  }

  async #get(name: string): Promise<Response> {
    const path = this.#prefix ? `${this.#prefix}/${name}` : name;
    // The host is not looked at.
    const response = await this.#assets.fetch(`https://assets.invalid/${path}`);
    if (response.ok) return response;
    await response.body?.cancel();
    throw new Error(
      `${path} is not among the static assets (status ${response.status}): put a pack there, or set NEARSIDE_EDGE_PACK to a prefix in R2.`,
    );
  }
}
