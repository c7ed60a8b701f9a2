// The library asks for it whenever an object starts beside a container that runs already, though nothing of that is used here.
export { ContainerProxy } from '@cloudflare/containers';
// The gateway binds one class name, wherever the engine runs.
export { EdgeContainer as EdgeModel } from './edge-container.ts';

/** The container has no public route: the gateway reaches its objects by their namespace. */
export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
