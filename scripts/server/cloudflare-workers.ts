/** What the gateway uses of the platform's module `cloudflare:workers`, and of its JavaScript, that plain Node does not have. */

export class DurableObject<Env> {
  protected readonly ctx: unknown;
  protected readonly env: Env;

  constructor(ctx: unknown, env: Env) {
    this.ctx = ctx;
    this.env = env;
  }
}

/** The process lives as long as its server. */
export function waitUntil(work: Promise<unknown>): void {
  work.catch((error) => console.error(error));
}

const text = (bytes: Uint8Array, encoding: 'hex' | 'base64') =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding);

/** Adds what is missing; a Node that has it keeps its own. */
function add(target: object, functions: Record<string, (...args: never[]) => unknown>): void {
  for (const [name, value] of Object.entries(functions)) if (!(name in target)) Object.defineProperty(target, name, { value });
}

add(Uint8Array.prototype, {
  toHex(this: Uint8Array) {
    return text(this, 'hex');
  },
  toBase64(this: Uint8Array) {
    return text(this, 'base64');
  },
});
// atob throws for what is no base64, as the real one does; Buffer would skip it.
add(Uint8Array, { fromBase64: (encoded: string) => new Uint8Array(Buffer.from(atob(encoded), 'latin1')) });
