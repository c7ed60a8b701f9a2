import { createSHA1, createSHA256, type IHasher } from 'hash-wasm';
import type { HubFile } from '../hub/hub.ts';
import { ModelError } from '../model-error.ts';

/** The hash that a hub publishes for one file, computed as the file arrives. Unlike Node's own hashes its state can be saved, which resuming needs. */
export class PublishedHash {
  readonly #hasher: IHasher;
  readonly #expected: string;
  readonly #label: string;

  private constructor(hasher: IHasher, expected: string, label: string) {
    this.#hasher = hasher;
    this.#expected = expected;
    this.#label = label;
  }

  /** From the file's start, or from a saved `state`. Throws `ModelError` when the hub publishes no hash: nothing unchecked goes into a pack. */
  static async start(file: HubFile, state?: Uint8Array): Promise<PublishedHash> {
    const [create, expected, label] = file.sha256
      ? ([createSHA256, file.sha256, 'SHA-256'] as const)
      : ([createSHA1, file.gitSha1, 'git hash'] as const);
    if (!expected) throw new ModelError(`The hub publishes no hash for ${file.path}, so it cannot be checked.`);
    const hasher = await create();
    if (state) hasher.load(state);
    else hasher.init();
    // Small files are published under git's hash of a blob, which covers this header too.
    if (!state && !file.sha256) hasher.update(`blob ${file.size}\0`);
    return new PublishedHash(hasher, expected, label);
  }

  update(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
  }

  save(): Uint8Array {
    return this.#hasher.save();
  }

  /** What is wrong with the file, as the end of a sentence; null when nothing is. */
  problem(): string | null {
    const found = this.#hasher.digest();
    return found === this.#expected ? null : `the ${this.#label} of what arrived is ${found}, and ${this.#expected} is published`;
  }
}
