import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { inOrder } from '../hub/in-order.ts';
import type { RemoteFile } from '../hub/remote-file.ts';
import { ModelError } from '../model-error.ts';
import type { RandomAccessFile } from '../sources/file.ts';

export interface TransferOptions {
  chunkBytes: number;
  connections: number;
  signal?: AbortSignal;
  /** Told of bytes as they arrive. */
  onBytes: (bytes: number) => void;
}

/** A head is fetched in steps of this size: one is enough for safetensors, some ten for the vocabulary in a GGUF. */
const HEAD_STEP = 1 << 20;

/**
 * A weight file on its way, to be read like one on disk. First its head, which describes the tensors, is fetched as far as a source wants to read it, and kept
 * on disk; later its bytes pass once from front to back, and only the piece that was shown last can be read.
 */
export class ArrivingFile implements RandomAccessFile {
  readonly name: string;
  readonly size: number;
  readonly #remote: RemoteFile;
  readonly #headPath: string;
  readonly #transfer: TransferOptions;
  #head: Uint8Array;
  #shown: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array(0) };

  private constructor(remote: RemoteFile, headPath: string, head: Uint8Array, transfer: TransferOptions) {
    this.name = basename(remote.name);
    this.size = remote.size;
    this.#remote = remote;
    this.#headPath = headPath;
    this.#head = head;
    this.#transfer = transfer;
  }

  /** @param headPath where the head is kept, so that a second run need not fetch it again */
  static async open(remote: RemoteFile, headPath: string, transfer: TransferOptions): Promise<ArrivingFile> {
    const head: Uint8Array = await readFile(headPath).catch(() => new Uint8Array(0));
    return new ArrivingFile(remote, headPath, head.length > remote.size ? new Uint8Array(0) : head, transfer);
  }

  /** Bytes of the head that are here. */
  get headBytes(): number {
    return this.#head.length;
  }

  /** Of the head, in hex: what was packed by one head must not go on with another. */
  get headSha256(): string {
    return createHash('sha256').update(this.#head).digest('hex');
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { start, bytes } = this.#shown;
    if (offset >= start && offset + length <= start + bytes.length) return bytes.slice(offset - start, offset - start + length);
    await this.#extendHead(offset + length);
    return this.#head.slice(offset, offset + length);
  }

  async #extendHead(end: number): Promise<void> {
    if (end <= this.#head.length) return;
    if (end > this.size) throw new ModelError(`${this.name} is truncated: it ends at byte ${this.size}, and ${end} are needed.`);
    const { signal, onBytes } = this.#transfer;
    const from = this.#head.length;
    const until = Math.min(this.size, Math.max(end, from + HEAD_STEP));
    const more = await this.#remote.read(from, until - from, onBytes, signal);
    const head = new Uint8Array(until);
    head.set(this.#head);
    head.set(more, from);
    this.#head = head;
    await writeFile(this.#headPath, more, { flag: from === 0 ? 'w' : 'a', flush: true });
  }

  /** Makes a piece of the file readable, in place of the one before. */
  show(start: number, bytes: Uint8Array): void {
    this.#shown = { start, bytes };
  }

  /** The file's bytes from `position` on: first what the head holds, so that it is hashed with the rest, then what is fetched. */
  async *stream(position: number): AsyncGenerator<Uint8Array> {
    if (position < this.#head.length) yield this.#head.subarray(position);
    const { chunkBytes, connections, signal, onBytes } = this.#transfer;
    const read = (start: number, length: number, stop: AbortSignal) => this.#remote.read(start, length, onBytes, stop);
    yield* inOrder(read, Math.max(position, this.#head.length), this.size, { chunkBytes, connections, signal });
  }

  /** Removes the head that was kept, because it may be what is wrong with the file; the next run fetches it again. */
  async forget(): Promise<void> {
    await rm(this.#headPath, { force: true });
  }

  async close(): Promise<void> {}
}
