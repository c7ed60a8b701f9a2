import { ModelError } from '../model-error.ts';
import { HttpError } from './http-error.ts';
import { Patience, type RetryPolicy } from './patience.ts';
import { readBody } from './read-body.ts';
import { type Answer, type Connection, request } from './request.ts';

export interface RemoteFileOptions {
  /** For messages. */
  name: string;
  url: string;
  /** Published size in bytes; a server that has another is not believed. */
  size: number;
  /** Published SHA-256 in hex; null when there is none. */
  sha256?: string | null;
  connection: Connection;
  retry: RetryPolicy;
  /** Says what an error status means to people; by default its number. */
  explain?: (error: HttpError) => Error;
}

/** So much in one try shows that the connection works. */
const PROGRESS_BYTES = 256 * 1024;
/** What a signed address answers when its time is over. */
const EXPIRED = new Set([401, 403, 404, 410]);

/** A file on a server that is read by byte ranges, again where a connection broke. */
export class RemoteFile {
  readonly name: string;
  readonly size: number;
  readonly #options: RemoteFileOptions;
  /** Where redirects led to, so that the hub is asked once and not for every range; such addresses expire. */
  #location: string | null = null;

  constructor(options: RemoteFileOptions) {
    this.name = options.name;
    this.size = options.size;
    this.#options = options;
  }

  /**
   * Bytes `start` to `start + length - 1`. Throws `ModelError`.
   * @param onBytes told what arrived, as progress; bytes of a broken try count only once
   */
  async read(start: number, length: number, onBytes: (bytes: number) => void = () => {}, signal?: AbortSignal): Promise<Uint8Array> {
    const into = new Uint8Array(length);
    const patience = new Patience(this.#options.retry, signal);
    let filled = 0;
    while (filled < length) {
      let arrived = 0;
      const count = (bytes: number) => {
        arrived += bytes;
        onBytes(bytes);
      };
      try {
        const response = await this.#open(start + filled, length - filled, signal);
        await readBody(this.name, response, into.subarray(filled), this.#options.connection.idleMs, count, signal);
        return into;
      } catch (error) {
        filled += arrived;
        if (arrived >= PROGRESS_BYTES) patience.progressed();
        await patience.failed(error);
      }
    }
    return into;
  }

  async #open(start: number, length: number, signal?: AbortSignal): Promise<Response> {
    const headers = { range: `bytes=${start}-${start + length - 1}` };
    const { response, url, redirects } = await this.#request(headers, signal);
    try {
      this.#checkDescription(redirects);
      this.#checkRange(response, start, length);
    } catch (error) {
      await response.body?.cancel().catch(() => {});
      throw error;
    }
    this.#location = url;
    return response;
  }

  async #request(headers: Record<string, string>, signal?: AbortSignal): Promise<Answer> {
    const { name, url, connection, explain } = this.#options;
    if (this.#location !== null) {
      try {
        return await request(name, this.#location, connection, headers, signal);
      } catch (error) {
        if (!(error instanceof HttpError) || !EXPIRED.has(error.status)) throw error;
        this.#location = null;
      }
    }
    try {
      return await request(name, url, connection, headers, signal);
    } catch (error) {
      if (error instanceof HttpError && error.status === 416) throw this.#otherSize('fewer');
      throw error instanceof HttpError && !error.isRetryable && explain ? explain(error) : error;
    }
  }

  /** The hub says in its redirect what the file is: it must be the file that its list of files promised. */
  #checkDescription(redirects: Headers[]): void {
    const { sha256 } = this.#options;
    for (const headers of redirects) {
      const size = headers.get('x-linked-size');
      if (size !== null && Number(size) !== this.size) throw this.#otherSize(size);
      const etag = headers.get('x-linked-etag')?.replaceAll('"', '');
      if (sha256 && etag && /^[0-9a-f]{64}$/.test(etag) && etag !== sha256) {
        throw new ModelError(`${this.name}: the server has a file with the SHA-256 ${etag}, and ${sha256} is published.`);
      }
    }
  }

  #checkRange(response: Response, start: number, length: number): void {
    if (response.status === 200 && start === 0 && length === this.size) return;
    if (response.status !== 206) throw new ModelError(`${this.name}: the server does not send parts of files, which resuming needs.`);
    const [, from, to, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
    if (size !== '*' && size !== undefined && Number(size) !== this.size) throw this.#otherSize(size);
    if (Number(from) !== start || Number(to) !== start + length - 1) {
      throw new ModelError(`${this.name}: the server sent other bytes than ${start} to ${start + length - 1}, which were asked for.`);
    }
  }

  #otherSize(size: string): ModelError {
    return new ModelError(`${this.name} has ${size} bytes on the server, and ${this.size} are published.`);
  }
}
