import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Drain, endOnSignals } from '../edge-node/drain.ts';
import { createFetchServer } from '../edge-node/http.ts';
import { addressOf, listen } from '../edge-node/serve.ts';
import { UsageError } from '../edge-node/usage-error.ts';
import type { GatewayOptions } from './gateway-options.ts';
import { listeningSocket } from './listening-socket.ts';
import { waitAsSettingsSay } from './patient-fetch.ts';
import { readSettings, type Settings } from './settings.ts';
import { Workerd } from './workerd.ts';
import { workerdConfig } from './workerd-config.ts';

/** The built module of worker/node. */
interface NodeGatewayModule {
  settingsProblem(settings: Settings): string | null;
  createNodeGateway(settings: Settings): { fetch(request: Request): Promise<Response> };
}

/** The files of the built program: dist/server. */
const HOME = new URL('..', import.meta.url);

/** systemd hands a listening socket over as file descriptor 3. */
const inheritedSocket = () => (process.env.LISTEN_FDS === '1' && process.env.LISTEN_PID === String(process.pid) ? 3 : null);

const log = (event: string, fields: object = {}) => console.log(JSON.stringify({ event, ...fields }));

/** Serves the gateway until a signal ends it. Throws `UsageError` for settings and addresses that cannot work. */
export async function serveGateway(options: GatewayOptions): Promise<void> {
  const module = (await import(new URL('lib/node-gateway.mjs', HOME).href)) as NodeGatewayModule;
  const read = () => {
    const settings = readSettings(process.env, options.files);
    const problem = module.settingsProblem(settings);
    if (problem !== null) throw new UsageError(problem);
    if (options.runtime === 'node' && settings.NEARSIDE_FETCH_IMAGES === '1')
      throw new UsageError('NEARSIDE_FETCH_IMAGES needs --runtime workerd, which keeps it away from private addresses.');
    return settings;
  };
  const settings = read();
  if (options.printConfig) return console.log(configText(options, settings));
  if (!settings.NEARSIDE_API_KEYS && settings.NEARSIDE_DEV !== '1') log('no_keys', { message: 'Nobody can call: set NEARSIDE_API_KEYS.' });
  await (options.runtime === 'node' ? serveInNode(options, settings, read, module) : serveInWorkerd(options, settings, read));
}

type ReadSettings = () => Settings;

async function serveInNode(options: GatewayOptions, settings: Settings, read: ReadSettings, module: NodeGatewayModule): Promise<void> {
  await waitAsSettingsSay();
  let gateway = module.createNodeGateway(settings);
  const drain = new Drain();
  const handler = async (request: Request) => (drain.draining ? refuseWork(request) : gateway.fetch(request));
  const server = createFetchServer(handler, { key: null, pages: true, drain, tls: readTls(options), onError });
  const fd = inheritedSocket();
  await listen(server, fd === null ? options : { fd });
  endOnSignals(server, drain, options.drainMs, ['SIGINT']);
  onReload(read, async (next) => {
    gateway = module.createNodeGateway(next);
  });
  log('listening', { runtime: 'node', address: addressOf(server, options.host, options.tls ? 'https' : 'http') });
}

async function serveInWorkerd(options: GatewayOptions, settings: Settings, read: ReadSettings): Promise<void> {
  const binary = workerdBinary();
  const inherited = inheritedSocket();
  const { fd: socketFd, port } =
    inherited === null ? await listeningSocket(options.host, options.port) : { fd: inherited, port: options.port };
  const ended = (workerd: Workerd) => {
    // Whoever started this process is to decide what becomes of it.
    if (workerd === current && !stopping) process.exit(1);
  };
  /** The current one, and those before it that finish their answers. */
  const running = new Set<Workerd>();
  const start = async (settings: Settings) => {
    const workerd = await Workerd.start({ binary, config: configText(options, settings), settings, socketFd });
    running.add(workerd);
    workerd.exited.then(() => {
      running.delete(workerd);
      ended(workerd);
    });
    return workerd;
  };
  let stopping = false;
  let current = await start(settings);
  onReload(read, async (next) => {
    if (stopping) throw new UsageError('The gateway is about to stop.');
    const last = current;
    // Both accept connections for a moment; then the old one finishes what it has.
    current = await start(next);
    last.drain(options.drainMs);
  });
  const stop = async () => {
    if (stopping) process.exit(0);
    stopping = true;
    const drained = Promise.all([...running].map((workerd) => workerd.drain(options.drainMs)));
    // workerd leaves the socket open and accepts nothing: without this, whoever comes now would wait in vain. systemd keeps its sockets for the next process.
    if (inherited === null)
      createFetchServer(async (request) => refuseWork(request), { key: null, pages: true, tls: readTls(options), onError }).listen({
        fd: socketFd,
      });
    await drained;
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  log('listening', { runtime: 'workerd', address: `${options.tls ? 'https' : 'http'}://${options.host}:${port}` });
}

/** What a gateway that finishes its last answers says to everybody else. */
function refuseWork(request: Request): Response {
  const path = new URL(request.url).pathname;
  const headers = { 'retry-after': '1', connection: 'close' };
  if (path === '/healthz') return Response.json({ status: 'draining' }, { headers });
  if (path === '/readyz') return Response.json({ ready: false, reason: 'draining' }, { status: 503, headers });
  const error = { message: 'The gateway is about to stop.', type: 'server_error', param: null, code: 'stopping' };
  return Response.json({ error }, { status: 503, headers });
}

const onError = (error: unknown) => console.error(error);

const readTls = ({ tls }: GatewayOptions) => tls && { key: readFileSync(tls.key, 'utf8'), cert: readFileSync(tls.cert, 'utf8') };

function onReload(read: ReadSettings, apply: (settings: Settings) => Promise<void>): void {
  let last = Promise.resolve();
  process.on('SIGHUP', () => {
    last = last.then(async () => {
      try {
        await apply(read());
        log('reloaded');
      } catch (error) {
        log('not_reloaded', { error: (error as Error).message });
      }
    });
  });
}

function configText({ host, port, tls }: GatewayOptions, settings: Settings): string {
  const folder = fileURLToPath(new URL('gateway/', HOME));
  const modules = readdirSync(folder).filter((name) => name.endsWith('.js'));
  const compatibility = JSON.parse(readFileSync(join(folder, 'compatibility.json'), 'utf8'));
  const address = `${host === '0.0.0.0' || host === '::' ? '*' : host.includes(':') ? `[${host}]` : host}:${port}`;
  return workerdConfig({
    modules: modules.sort((a, b) => Number(b === 'index.js') - Number(a === 'index.js')).map((name) => join(folder, name)),
    ...compatibility,
    variables: Object.keys(settings),
    address,
    tls,
  });
}

/** NEARSIDE_WORKERD, the one beside the program, or the one of the npm package where there is one. */
function workerdBinary(): string {
  const beside = fileURLToPath(new URL('bin/workerd', HOME));
  if (process.env.NEARSIDE_WORKERD) return process.env.NEARSIDE_WORKERD;
  if (existsSync(beside)) return beside;
  try {
    return join(dirname(createRequire(import.meta.url).resolve('workerd/package.json')), 'bin/workerd');
  } catch {
    throw new UsageError('workerd is not here: npm install workerd, name it with NEARSIDE_WORKERD, or use --runtime node.');
  }
}
