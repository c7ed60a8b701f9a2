// The gateway binds one class name, wherever the engine runs.
export { EdgeContainer as EdgeModel } from './edge-container.ts';

/** The container has no public route: the gateway reaches its objects by their namespace. */
export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
