import { createFetchEdgeClient } from './http-client.ts';
import type { EdgeClient } from './protocol.ts';

export { createHttpEdgeClient } from './http-client.ts';

/** What is needed of a Durable Object namespace. */
type EdgeNamespace = Pick<DurableObjectNamespace, 'get' | 'idFromName'>;

/**
 * Calls an `EdgeModel` object.
 * @param name `model:region:replica`, the object's id
 */
export function createEdgeClient(namespace: EdgeNamespace, name: string): EdgeClient {
  // A stub that has failed stays broken, so each call takes a fresh one.
  return createFetchEdgeClient((path, init) => namespace.get(namespace.idFromName(name)).fetch(`https://edge.invalid${path}`, init));
}
