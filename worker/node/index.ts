import { waitUntil } from 'cloudflare:workers';
import { ConfigError, type Env, parseConfig } from '../config.ts';
import worker, { OriginMonitor } from '../index.ts';

/** NEARSIDE_* settings. */
export type Settings = Record<string, string>;

/** What the built gateway offers to plain Node (npm run build bundles it with stand-ins for the platform's modules). */
export interface NodeGateway {
  fetch(request: Request): Promise<Response>;
}

/** What is wrong with settings, in a sentence, or null. */
export function settingsProblem(settings: Settings): string | null {
  try {
    parseConfig({ ...settings });
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

/** The gateway with these settings, in a process without bindings: its one OriginMonitor is an object like any other. */
export function createNodeGateway(settings: Settings): NodeGateway {
  const env: Env = { ...settings };
  let monitor: OriginMonitor | null = null;
  const fetchMonitor = (url: string, init?: RequestInit) => {
    monitor ??= new OriginMonitor({ waitUntil } as unknown as DurableObjectState, env);
    return monitor.fetch(new Request(url, init));
  };
  env.ORIGIN_MONITOR = { idFromName: (name: string) => name, get: () => ({ fetch: fetchMonitor }) } as unknown as DurableObjectNamespace;
  const context = { waitUntil, passThroughOnException: () => {}, props: {} } as unknown as ExecutionContext;
  return { fetch: async (request) => worker.fetch(request as Parameters<typeof worker.fetch>[0], env, context) };
}
