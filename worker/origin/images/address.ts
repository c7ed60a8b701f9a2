/**
 * IPv4 blocks that are nobody's on the internet, by IANA's IPv4 Special-Purpose Address Registry (RFC 6890), and multicast (RFC 5771). The last one is a
 * public address by its number, at which Azure serves its virtual machines.
 */
const closedV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '168.63.129.16/32',
].map(parseBlock);

/**
 * In IPv6 one block is the internet (RFC 4291, section 2.4); all others, among them loopback, unique local, link-local, IPv4-mapped and NAT64 addresses, are not.
 */
const openV6 = parseBlock('2000::/3');
/** Within it: protocol assignments (Teredo and others), documentation, and 6to4, which carries an IPv4 address. */
const closedV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'].map(parseBlock);

/** Bytes of an address as a URL's hostname has it: dotted decimal, or IPv6 with or without brackets. Null for a name. */
export function parseAddress(host: string): Uint8Array | null {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return Uint8Array.from(host.split('.'), Number);
  if (!host.includes(':')) return null;
  // The URL parser knows all ways to write one, and has only one itself.
  const canonical = new URL(`https://[${host.replace(/^\[|\]$/g, '')}]`).hostname.slice(1, -1);
  const [before = '', after] = canonical.split('::');
  const head = groups(before);
  const tail = groups(after ?? '');
  const all = after === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Whether an address is one that anybody on the internet could reach. */
export function isPublicAddress(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return !closedV4.some((block) => contains(block, bytes));
  return contains(openV6, bytes) && !closedV6.some((block) => contains(block, bytes));
}

interface Block {
  bytes: Uint8Array;
  /** Bits that count. */
  length: number;
}

function parseBlock(text: string): Block {
  const [address = '', length] = text.split('/');
  return { bytes: parseAddress(address)!, length: Number(length) };
}

function contains({ bytes, length }: Block, address: Uint8Array): boolean {
  for (let bit = 0; bit < length; bit += 8) {
    const mask = length - bit >= 8 ? 0xff : (0xff << (8 - (length - bit))) & 0xff;
    if ((bytes[bit / 8]! ^ address[bit / 8]!) & mask) return false;
  }
  return true;
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
