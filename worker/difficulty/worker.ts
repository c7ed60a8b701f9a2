import type { Prediction } from './classifier.ts';
import { createDifficulty, loadDefaultModel } from './index.ts';
import { type ModelEnv, modelLoader } from './model-source.ts';

/** One model per environment: loaded once per isolate. */
const models = new WeakMap<ModelEnv, ReturnType<typeof createDifficulty>>();

/**
 * The difficulty model as a Worker: a prompt's text comes as the body, the probabilities go back as JSON, or `null` when it has none to tell. While it loads the answer is
 * `null` at once, and loading goes on: nobody's request waits half a second for advice.
 */
export default {
  async fetch(request: Request, env: ModelEnv, ctx: Pick<ExecutionContext, 'waitUntil'>): Promise<Response> {
    let model = models.get(env);
    if (!model) {
      model = createDifficulty(modelLoader(env, loadDefaultModel), (message) =>
        console.log(JSON.stringify({ event: 'difficulty_failed', message })),
      );
      models.set(env, model);
    }
    const text = await request.text();
    if (model.loaded) return Response.json(await model.predict(text));
    ctx.waitUntil(model.predict(text));
    return Response.json(null satisfies Prediction | null);
  },
};
