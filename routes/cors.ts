import type { MiddlewareHandler } from 'hono';
import { ApiError } from './errors.ts';

/**
 * The pages in browsers that may read what the API answers. `any`: the key is what lets a caller in, and a browser adds none by itself. `loopback`: where no key is
 * asked for, any page that somebody visits could otherwise use the gateway on their machine.
 */
export type Pages = 'any' | 'loopback';

/** Lets permitted pages read what `/v1` answers, errors too, and tells them in advance that they may ask. Goes before what checks the key: a browser asks without one. */
export function cors(pages: Pages): MiddlewareHandler {
  return async (c, next) => {
    const headers = permission(c.req.raw, pages);
    if (!headers) {
      // A preflight that is not answered as one is refusal enough.
      if (c.req.method !== 'OPTIONS') refuseForeign(c.req.raw, pages);
      return next();
    }
    if (c.req.method === 'OPTIONS' && c.req.header('access-control-request-method') !== undefined) return preflight(c.req.raw, headers);
    await next();
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  };
}

type Permission = Record<string, string>;

/** The headers with which a browser hands an answer to the page that has asked; null when no page has, or one that may not. */
export function permission(request: Request, pages: Pages): Permission | null {
  const origin = request.headers.get('origin');
  if (origin === null || !mayUse(origin, pages)) return null;
  // Without credentials `*` stands for all headers of an answer, x-request-id and Retry-After among them.
  const exposed = { 'access-control-expose-headers': '*' };
  return pages === 'any'
    ? { 'access-control-allow-origin': '*', ...exposed }
    : { 'access-control-allow-origin': origin, vary: 'origin', ...exposed };
}

/**
 * Throws 403 for a page that may not. Without permission a browser only keeps the answer from it, and not even that from a page whose name has come to mean this machine
 * meanwhile (DNS rebinding): the request would be answered, and an origin paid for it.
 */
export function refuseForeign(request: Request, pages: Pages): void {
  const origin = request.headers.get('origin');
  if (origin === null || mayUse(origin, pages)) return;
  throw new ApiError(
    403,
    'page_not_allowed',
    'Without API keys only pages of this machine may use this gateway: set NEARSIDE_API_KEYS, or serve the page from localhost.',
  );
}

const mayUse = (origin: string, pages: Pages): boolean => pages === 'any' || isLoopback(origin);

/** Pages served from this machine. A page from a file, or of a frame that is locked in, calls itself `null`, and may come from anywhere. */
function isLoopback(origin: string): boolean {
  const host = URL.parse(origin)?.hostname ?? '';
  return /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host);
}

/** Headers are permitted by name: `*` would not stand for Authorization. */
function preflight(request: Request, permission: Permission): Response {
  const asked = request.headers.get('access-control-request-headers');
  return new Response(null, {
    status: 204,
    headers: {
      ...permission,
      'access-control-allow-methods': 'GET, POST',
      ...(asked === null ? {} : { 'access-control-allow-headers': asked }),
      'access-control-max-age': '7200',
    },
  });
}
