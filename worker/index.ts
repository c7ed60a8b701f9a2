import { ApiError } from '../routes/errors.ts';
import type { Gateway } from '../routes/gateway.ts';
import { createApp } from '../routes/index.ts';
import { type Config, ConfigError, type Env, parseConfig } from './config.ts';
import { createEdgeClient } from './edge/client.ts';
import { EdgeDirectory } from './edge/directory.ts';
import { NearsideGateway } from './gateway.ts';
import { misconfigured } from './health.ts';
import { errorFields, log } from './observe/log.ts';

type App = ReturnType<typeof createApp>;

/** `model:region:replica` of the one edge model there is today. */
const edgeObject = 'default:any:0';

/** One app per environment: settings are read once per isolate. */
const apps = new WeakMap<Env, App>();

export default {
  fetch(request: Request, env: Env, ctx: ExecutionContext) {
    let app = apps.get(env);
    if (!app) {
      app = buildApp(env);
      apps.set(env, app);
    }
    return app.fetch(request, env, ctx);
  },
};

function buildApp(env: Env): App {
  const onError = (error: unknown, id: string) => log('request_failed', { id, ...errorFields(error) });
  try {
    const config = parseConfig(env);
    return createApp(new NearsideGateway(config, edgeDirectory(env, config)), { ...config.http, onError });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log('configuration_error', { error: error.message });
    return createApp(misconfiguredGateway(error), { maxBodyBytes: 0, keepAliveMs: 1, onError: () => {} });
  }
}

function edgeDirectory(env: Env, config: Config): EdgeDirectory | null {
  return env.EDGE_MODEL ? new EdgeDirectory(createEdgeClient(env.EDGE_MODEL, edgeObject), config.edge.model) : null;
}

/** Says what is wrong with the settings wherever it is asked, and does nothing else. */
function misconfiguredGateway(error: ConfigError): Gateway {
  const refuse = async () => {
    throw new ApiError(500, 'configuration_error', `The gateway is not configured correctly: ${error.message}`);
  };
  return {
    authorize: refuse,
    chat: refuse,
    models: refuse,
    model: refuse,
    health: async () => misconfigured(error.message),
    ready: async () => ({ ready: false, edge: 'not configured', origin: 'not configured', reason: 'configuration_error' }),
  };
}
