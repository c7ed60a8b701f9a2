import type { PackStorage } from '../../models/pack/storage.ts';

const READ_BYTES = 1024 * 1024;

/** A pack under a prefix of an R2 bucket. Reads with a BYOB reader: ten times as fast as the default reader, and no copy of a whole file in the heap. */
export class R2Storage implements PackStorage {
  readonly #bucket: R2Bucket;
  readonly #prefix: string;

  constructor(bucket: R2Bucket, prefix: string) {
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  async manifest(): Promise<string> {
    return (await this.#get('manifest.json')).text();
  }

  async read(name: string, into: Uint8Array): Promise<void> {
    const object = await this.#get(name);
    if (object.size !== into.length) {
      await object.body.cancel();
      throw new Error(`${this.#key(name)} in R2 has ${object.size} bytes, the manifest says ${into.length}: upload the pack again.`);
    }
    const reader = object.body.getReader({ mode: 'byob' });
    // The buffer goes back and forth to the reader, so it cannot be WASM memory itself.
    let buffer = new ArrayBuffer(READ_BYTES);
    for (let at = 0; at < into.length; ) {
      const { value } = await reader.readAtLeast(Math.min(READ_BYTES, into.length - at), new Uint8Array(buffer));
      if (!value || value.length === 0)
        throw new Error(`${this.#key(name)} in R2 ended after ${at} of ${into.length} bytes: upload the pack again.`);
      into.set(value, at);
      at += value.length;
      buffer = value.buffer as ArrayBuffer;
    }
    await reader.cancel();
  }

  async #get(name: string): Promise<R2ObjectBody> {
    const object = await this.#bucket.get(this.#key(name));
    if (!object)
      throw new Error(`${this.#key(name)} is not in the R2 bucket: upload a pack there, or set NEARSIDE_EDGE_PACK to the prefix of one.`);
    return object;
  }

  #key(name: string): string {
    return this.#prefix ? `${this.#prefix}/${name}` : name;
  }
}
