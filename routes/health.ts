import type { Hono } from 'hono';
import { methodNotAllowed } from './errors.ts';
import type { Gateway } from './gateway.ts';
import type { AppEnv } from './index.ts';

/** GET /healthz (is this process there, and what does it consist of) and /readyz (can it answer). Neither needs a key. */
export function healthRoutes(app: Hono<AppEnv>, gateway: Gateway): void {
  app.get('/healthz', async (c) => c.json(await gateway.health(), 200, { 'cache-control': 'no-store' }));
  app.all('/healthz', methodNotAllowed('GET', 'HEAD'));

  app.get('/readyz', async (c) => {
    const readiness = await gateway.ready();
    return c.json(readiness, readiness.ready ? 200 : 503, {
      'cache-control': 'no-store',
      ...(readiness.ready ? {} : { 'retry-after': '5' }),
    });
  });
  app.all('/readyz', methodNotAllowed('GET', 'HEAD'));
}
