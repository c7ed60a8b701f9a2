import type { Hono } from 'hono';
import { readJson } from './body.ts';
import { preferencesOf } from './chat.ts';
import { methodNotAllowed } from './errors.ts';
import type { Gateway } from './gateway.ts';
import type { AppEnv, AppOptions } from './index.ts';
import { parseChatRequest } from './schema/chat.ts';

/** POST /v1/route: where a chat request would go, without sending it there. */
export function routeRoutes(app: Hono<AppEnv>, gateway: Gateway, options: AppOptions): void {
  app.post('/v1/route', async (c) => {
    const request = parseChatRequest(await readJson(c.req.raw, options.maxBodyBytes));
    const { signal, headers } = c.req.raw;
    const call = { id: c.get('requestId'), caller: c.get('caller'), signal, preferences: preferencesOf(headers) };
    return c.json(await gateway.route(request, call));
  });
  app.all('/v1/route', methodNotAllowed('POST'));
}
