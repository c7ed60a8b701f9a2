import type { Hono } from 'hono';
import { ApiError, methodNotAllowed } from './errors.ts';
import type { Gateway, ModelInfo } from './gateway.ts';
import type { AppEnv } from './index.ts';

/** GET /v1/models and /v1/models/:id. Ids may contain slashes (`Qwen/Qwen3.5-9B`), encoded or not. */
export function modelRoutes(app: Hono<AppEnv>, gateway: Gateway): void {
  app.get('/v1/models', async (c) => c.json({ object: 'list', data: (await gateway.models()).map(modelObject) }));
  app.all('/v1/models', methodNotAllowed('GET', 'HEAD'));

  app.get('/v1/models/:id{.+}', async (c) => {
    const id = c.req.param('id');
    const model = await gateway.model(id);
    if (!model)
      throw new ApiError(404, 'model_not_found', `The model '${id}' does not exist; GET /v1/models lists those offered.`, {
        param: 'model',
      });
    return c.json(modelObject(model));
  });
  app.all('/v1/models/:id{.+}', methodNotAllowed('GET', 'HEAD'));
}

function modelObject(model: ModelInfo) {
  return { id: model.id, object: 'model', created: model.created, owned_by: model.ownedBy };
}
