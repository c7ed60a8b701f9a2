import type { EndpointConfig } from '../../../worker/origin/pool-config.ts';

/** A vLLM of that name with nothing special about it. */
export const endpointConfig = (name: string, more: Partial<EndpointConfig> = {}): EndpointConfig => ({
  name,
  url: `http://${name}/v1`,
  kind: 'vllm',
  model: 'm',
  region: null,
  weight: 1,
  priority: 0,
  price: null,
  context: null,
  modalities: null,
  key: null,
  binding: null,
  ...more,
});
