export { EdgeModel } from './edge-model.ts';

/** The engine has no public route: the gateway reaches its objects by their namespace. */
export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
