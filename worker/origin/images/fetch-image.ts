import { Deadline } from '../deadline.ts';
import { readBody } from '../read-body.ts';
import { type ImageLimits, tooManyBytes } from './check.ts';
import { ImageError, notFetched, tooLarge } from './image-error.ts';
import { checkResolution, type Resolver } from './resolver.ts';
import { parseTarget } from './target.ts';

export interface FetchTools {
  fetch: typeof fetch;
  /** What names are checked by before each request; null where there is nothing to ask. */
  resolve: Resolver | null;
}

export interface FetchLimits extends ImageLimits {
  /** For the whole of it, redirects included, milliseconds. */
  timeoutMs: number;
}

/** Bytes that all images of a request may still have together. */
export interface ByteBudget {
  readonly total: number;
  left: number;
}

const maxRedirects = 3;
const redirects = new Set([301, 302, 303, 307, 308]);

/**
 * Fetches an image, by way of a few redirects, each of which is checked as the first address was. None of the client's headers goes along, and no cookie comes
 * back. Throws `ImageError` when it cannot be had, and the signal's reason when the client has left.
 */
export async function fetchImage(
  address: string,
  limits: FetchLimits,
  budget: ByteBudget,
  tools: FetchTools,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const deadline = new Deadline(signal);
  deadline.limit(limits.timeoutMs, () => notFetched(`could not be fetched within ${limits.timeoutMs} ms.`));
  try {
    const response = await follow(parseTarget(address), tools, deadline);
    return await readImage(response, limits, budget, deadline);
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw error instanceof ImageError ? error : notFetched('could not be fetched.');
  } finally {
    // Also stops whatever is still coming.
    deadline.end();
  }
}

async function follow(first: URL, tools: FetchTools, deadline: Deadline): Promise<Response> {
  let url = first;
  for (let hops = 0; hops <= maxRedirects; hops++) {
    if (tools.resolve) await deadline.guard(checkResolution(url, tools.resolve, deadline.signal));
    const headers = { accept: 'image/png, image/jpeg, image/gif, image/webp', 'user-agent': 'nearside' };
    const response = await deadline.guard(tools.fetch(url.href, { headers, redirect: 'manual', signal: deadline.signal }));
    if (response.status === 200) return response;
    response.body?.cancel().catch(() => {});
    const location = redirects.has(response.status) ? response.headers.get('location') : null;
    if (location === null) throw notFetched(`could not be fetched: its server answers ${response.status}.`);
    url = parseTarget(location, url);
  }
  throw notFetched(`could not be fetched: its server redirects more than ${maxRedirects} times.`);
}

/** The body, read no further than the limits go, whatever its length is said to be. */
async function readImage(response: Response, limits: FetchLimits, budget: ByteBudget, deadline: Deadline): Promise<Uint8Array> {
  let length = 0;
  const check = (bytes: number) => {
    if (length + bytes > limits.maxBytes) throw tooManyBytes(limits);
    if (bytes > budget.left) throw tooLarge(`makes the request's images larger than ${budget.total} bytes together.`);
  };
  check(Number(response.headers.get('content-length')) || 0);
  return readBody(response, deadline, (bytes) => {
    check(bytes);
    length += bytes;
    budget.left -= bytes;
  });
}
