export { StageModel } from './stage-model.ts';

/** A stage has no public route: the engine reaches its objects by their namespace. */
export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
