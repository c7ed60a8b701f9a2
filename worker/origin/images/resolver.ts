import { isPublicAddress, parseAddress } from './address.ts';
import { notFetched } from './image-error.ts';
import { notPublic } from './target.ts';

/** All addresses of a name, IPv4 and IPv6 as text. Throws when they cannot be had. */
export type Resolver = (name: string, signal: AbortSignal) => Promise<string[]>;

/** Record types of RFC 1035 and RFC 3596. */
const wanted = { A: 1, AAAA: 28 };

/**
 * Asks a server for DNS over HTTPS in its JSON form, as Cloudflare, Google and others have it.
 * @param server for instance https://cloudflare-dns.com/dns-query
 */
export function createResolver(server: string, request: typeof fetch): Resolver {
  const ask = async (name: string, type: keyof typeof wanted, signal: AbortSignal): Promise<string[]> => {
    const query = new URLSearchParams({ name, type });
    const response = await request(`${server}?${query}`, { headers: { accept: 'application/dns-json' }, redirect: 'manual', signal });
    if (!response.ok) throw new Error(`the DNS server answers ${response.status}`);
    const { Status: status, Answer: records } = (await response.json()) as { Status?: unknown; Answer?: unknown };
    // 3: there is no such name.
    if (status !== 0 && status !== 3) throw new Error(`the DNS server says ${String(status)}`);
    const answers = Array.isArray(records) ? (records as { type?: unknown; data?: unknown }[]) : [];
    return answers.flatMap(({ type: is, data }) => (is === wanted[type] && typeof data === 'string' ? [data] : []));
  };
  return async (name, signal) => (await Promise.all([ask(name, 'A', signal), ask(name, 'AAAA', signal)])).flat();
}

/** Throws `ImageError` unless a URL's name has addresses, all of them public. One that is not is enough: nobody knows which will be taken. */
export async function checkResolution(url: URL, resolve: Resolver, signal: AbortSignal): Promise<void> {
  if (parseAddress(url.hostname)) return;
  let addresses: (Uint8Array | null)[];
  try {
    addresses = (await resolve(url.hostname, signal)).map(parseAddress);
  } catch {
    throw notFetched('could not be fetched: its name cannot be resolved.');
  }
  if (addresses.length === 0) throw notFetched('could not be fetched: there is no such name.');
  if (!addresses.every((address) => address !== null && isPublicAddress(address))) throw notPublic();
}
