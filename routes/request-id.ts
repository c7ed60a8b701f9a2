/** Ids that are made at a time: to ask the runtime for random bytes takes longer than to use them. */
const idsAtOnce = 64;
const idBytes = 16;
const random = new Uint8Array(idsAtOnce * idBytes);
let used = random.length;

/** A client's own id is kept when it is harmless in logs and headers. @param given the header x-request-id */
export function requestId(given: string | null): string {
  if (given && /^[\w.:/+=-]{1,128}$/.test(given)) return given;
  if (used === random.length) {
    crypto.getRandomValues(random);
    used = 0;
  }
  used += idBytes;
  return `req_${random.subarray(used - idBytes, used).toHex()}`;
}
