export interface StoredObject {
  key: string;
  bytes: number;
}

/** An R2 bucket, on this machine or on Cloudflare. Every call throws `ModelError` when the bucket cannot be used. */
export interface Bucket {
  /** For messages: "nearside-models (local)". */
  label: string;
  /** Null when there is no such object; `sha256` is what `put` was given, in hex, or null for an object that somebody else put. */
  head(key: string): Promise<{ bytes: number; sha256: string | null } | null>;
  /** The whole object, which must be small; null when there is none. */
  get(key: string): Promise<Uint8Array | null>;
  /** Stores an object whole or not at all. Content that arrives with another SHA-256 than `sha256` (hex) is refused. */
  put(key: string, content: Uint8Array, sha256: string): Promise<void>;
  /** All objects whose key starts with `prefix`, by key. */
  list(prefix: string): Promise<StoredObject[]>;
  delete(keys: string[]): Promise<void>;
  /** Ends uploads under `prefix` that a killed process left half done: nobody sees them, but they cost storage. */
  abortUploads(prefix: string): Promise<void>;
  close(): Promise<void>;
}
