import { waitUntil } from 'cloudflare:workers';
import { ApiError } from '../routes/errors.ts';
import type { Gateway } from '../routes/gateway.ts';
import { createApp } from '../routes/index.ts';
import { type Config, ConfigError, type Env, parseConfig } from './config.ts';
import { createDifficultyClient } from './difficulty/client.ts';
import { createEdgeClient, createHttpEdgeClient } from './edge/client.ts';
import { EdgeDirectory } from './edge/directory.ts';
import { replicaName } from './edge/replicas.ts';
import { clientPlace, createReplicatedEdgeClient, replicasOf } from './edge/replicated-client.ts';
import { NearsideGateway } from './gateway.ts';
import { misconfigured } from './health.ts';
import { errorFields, log } from './observe/log.ts';
import { OriginDirectory } from './origin/directory.ts';
import { createImageGate, type ImageGate } from './origin/images/index.ts';
import { createResolver } from './origin/images/resolver.ts';
import { watchPools } from './origin/watch.ts';

export { OriginMonitor } from './origin/monitor.ts';

type App = ReturnType<typeof createApp>;

/** One app per environment: settings are read once per isolate. */
const apps = new WeakMap<Env, App>();

export default {
  fetch(request: Request, env: Env, _ctx: ExecutionContext) {
    let app = apps.get(env);
    if (!app) {
      app = buildApp(env, request.cf);
      apps.set(env, app);
    }
    return app.fetch(request);
  },
};

/** @param place where this isolate is, going by its first request */
function buildApp(env: Env, place: Request['cf']): App {
  const onError = (error: unknown, id: string) => log('request_failed', { id, ...errorFields(error) });
  try {
    const config = parseConfig(env);
    const continent = place?.continent;
    const region = config.region ?? (typeof continent === 'string' ? continent.toLowerCase() : null);
    const gateway = new NearsideGateway({
      config,
      edge: edgeDirectory(env, config, place),
      origins: originDirectory(env, config, region),
      difficultyOf: config.difficulty ? createDifficultyClient(env.DIFFICULTY!) : null,
      background: waitUntil,
    });
    const { access } = config;
    return createApp(gateway, { ...config.http, pages: access.open && access.keyDigests.length === 0 ? 'loopback' : 'any', onError });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log('configuration_error', { error: error.message });
    return createApp(misconfiguredGateway(error), { maxBodyBytes: 0, keepAliveMs: 1, pages: 'any', onError: () => {} });
  }
}

function edgeDirectory(env: Env, config: Config, place: Request['cf']): EdgeDirectory | null {
  const { server, model, regions, replicas } = config.edge;
  if (server) return new EdgeDirectory(createHttpEdgeClient(server.url, server.key), model);
  if (!env.EDGE_MODEL) return null;
  const all = replicasOf(regions, replicas);
  const [only] = all;
  if (only && all.length === 1 && only.region === null)
    return new EdgeDirectory(createEdgeClient(env.EDGE_MODEL, replicaName(only)), model);
  const client = createReplicatedEdgeClient(env.EDGE_MODEL, { replicas: all, client: clientPlace(place), now: Date.now });
  return new EdgeDirectory(client, model);
}

function originDirectory(env: Env, config: Config, region: string | null): OriginDirectory {
  const { ORIGINS: store } = env;
  const fetchOf = (binding: string | null): typeof fetch => {
    const client = binding === null ? null : (env[binding as `ORIGIN_${string}`] as Fetcher);
    return client ? client.fetch.bind(client) : fetch;
  };
  const tools = { fetchOf, background: waitUntil };
  const stored = store ? () => store.get('origins') : null;
  const watch = env.ORIGIN_MONITOR ? watchPools(env.ORIGIN_MONITOR, region, config.origins.pollMs, waitUntil) : null;
  return new OriginDirectory({ ...config.origins, stored, region, tools, images: imageGate(env, config), watch });
}

function imageGate({ IMAGE_NETWORK: network }: Env, { images }: Config): ImageGate {
  const resolve = images.dns === null ? null : createResolver(images.dns, fetch);
  return createImageGate(images, { fetch: network ? network.fetch.bind(network) : fetch, resolve });
}

/** Says what is wrong with the settings wherever it is asked, and does nothing else. */
function misconfiguredGateway(error: ConfigError): Gateway {
  const refuse = async () => {
    throw new ApiError(500, 'configuration_error', `The gateway is not configured correctly: ${error.message}`);
  };
  return {
    authorize: refuse,
    chat: refuse,
    route: refuse,
    models: refuse,
    model: refuse,
    health: async () => misconfigured(error.message),
    ready: async () => ({ ready: false, edge: 'not configured', origin: 'not configured', reason: 'configuration_error' }),
  };
}
