import { isPublicAddress, parseAddress } from './address.ts';
import { badUrl, type ImageError } from './image-error.ts';

const maxUrlLength = 8192;

/**
 * Ends of names that are resolved within somebody's network, if at all: RFC 6761, 6762, 8375, 9476 and their like, and what is used without any (clusters'
 * `svc`, for instance).
 */
const closedNames =
  /(^|\.)(localhost|local|localdomain|internal|intranet|private|corp|home|lan|home\.arpa|svc|consul|test|invalid|onion|alt)$/;

/**
 * The address of an image, if it is one that anyone may be sent to: https, no credentials, the standard port, and a name or address of the internet. What a name
 * resolves to is not known here. Throws `ImageError`.
 * @param base what a redirect's address is relative to
 */
export function parseTarget(text: string, base?: URL): URL {
  if (text.length > maxUrlLength) throw badUrl(`has an address of more than ${maxUrlLength} characters.`);
  // Other programs' parsers take what follows a backslash for the host.
  if (/[\\\p{Cc}]/u.test(text)) throw badUrl('has a backslash or a control character in its address.');
  let url: URL;
  try {
    url = new URL(text, base);
  } catch {
    throw badUrl('must be an https or data URL.');
  }
  if (url.protocol !== 'https:') throw badUrl('must be an https or data URL.');
  if (url.username || url.password) throw badUrl('has a user name or password in its address; leave them out.');
  if (url.port) throw badUrl('has a port in its address; only the standard port of https is allowed.');
  // The parser has made dotted decimals of all other ways to write an IPv4 address.
  const host = url.hostname.replace(/\.$/, '');
  const address = parseAddress(host);
  // An empty label: a resolver that forgives it would find something else here.
  if (/^\.|\.(\.|$)/.test(host)) throw notPublic();
  if (address ? !isPublicAddress(address) : !host.includes('.') || closedNames.test(host)) throw notPublic();
  return url;
}

export function notPublic(): ImageError {
  return badUrl('has an address that is not on the public internet.');
}
