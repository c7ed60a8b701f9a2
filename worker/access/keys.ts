import { ApiError, noRetry } from '../../routes/errors.ts';
import type { Config } from '../config.ts';

/**
 * Lets the bearer of a configured key pass. Throws 401 in OpenAI's shape for a missing or wrong key, and 503 `auth_not_configured` when there are no keys and
 * this is not a development gateway. The address a client used to get here plays no part: a Host header proves nothing.
 * @returns an opaque name of the caller, the same for all calls with one key, from which neither the key nor its configured digest can be told
 */
export async function authorize(authorization: string | null, access: Config['access']): Promise<string> {
  if (access.keyDigests.length === 0) {
    if (access.open) return 'anyone';
    throw new ApiError(
      503,
      'auth_not_configured',
      'This gateway has no API keys: set NEARSIDE_API_KEYS to the SHA-256 digests of the keys to accept, or NEARSIDE_DEV=1 to let everyone in while developing.',
      { retryAfter: 60, headers: noRetry },
    );
  }
  const key = /^bearer +(\S+)\s*$/i.exec(authorization ?? '')?.[1];
  if (!key) {
    throw unauthorized('missing_api_key', 'No API key was given: send it as an Authorization header, "Authorization: Bearer KEY".');
  }
  const accepted = acceptedBy(access);
  const before = accepted.get(key);
  if (before !== undefined) return before;
  const digest = await sha256(new TextEncoder().encode(key));
  // OpenAI's words: LiteLLM tells a wrong key from a bad request by them alone.
  if (!isKnown(digest, access.keyDigests))
    throw unauthorized('invalid_api_key', 'Incorrect API key provided: it is none of those that this gateway accepts.');
  const name = await callerName(digest);
  accepted.set(key, name);
  return name;
}

/**
 * The keys that have been accepted, with their owners' names: no more than there are digests. A key that is shown again needs no digest, which is a way into the
 * runtime and back. To be found, a key must be the same in all places: a lookup goes by a seeded hash of the whole, so its time does not tell how much of a guess is right.
 */
const acceptedKeys = new WeakMap<Config['access'], Map<string, string>>();

function acceptedBy(access: Config['access']): Map<string, string> {
  const known = acceptedKeys.get(access);
  if (known) return known;
  const none = new Map<string, string>();
  acceptedKeys.set(access, none);
  return none;
}

/** By digest of a key that is known, so there are as many as keys. */
const callerNames = new Map<string, string>();

/** The name of a key's owner, as `authorize` gives it. */
export async function callerName(digest: Uint8Array): Promise<string> {
  const id = digest.toHex();
  const known = callerNames.get(id);
  if (known) return known;
  const hash = await sha256(new Uint8Array([...callerPrefix, ...digest]));
  const name = hash.subarray(0, 16).toHex();
  callerNames.set(id, name);
  return name;
}

const callerPrefix = new TextEncoder().encode('nearside caller ');

const sha256 = async (bytes: BufferSource): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));

function isKnown(digest: Uint8Array, digests: Uint8Array[]): boolean {
  // Every digest is compared in full, so that the time says nothing about which one came close.
  let known = 0;
  for (const candidate of digests) known |= Number(constantTimeEqual(digest, candidate));
  return known === 1;
}

/** Compares two digests of the same length in a time that does not depend on where they differ. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

function unauthorized(code: string, message: string): ApiError {
  return new ApiError(401, code, message, { headers: { 'www-authenticate': 'Bearer' } });
}
