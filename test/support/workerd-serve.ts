import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './dev-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface WorkerdServer {
  url: string;
  port: number;
  /** Where the inspector lists its isolates, when it was asked for. */
  inspectorUrl: string;
  process: ChildProcess;
  stop(): Promise<void>;
}

/** How workerd is run. */
export interface ServeOptions {
  /** Put before the program, for instance `taskset -c 0`. */
  launcher?: string[];
  /** Lets the inspector in, which costs something. */
  inspector?: boolean;
  /** V8's own, for instance `--max-semi-space-size=2`. */
  v8Flags?: string[];
  /** The Durable Object that looks at origins. */
  monitor?: boolean;
}

/**
 * Runs the gateway as `wrangler deploy` would bundle it under plain `workerd serve`, without an edge model and without wrangler's proxy in front: the way a
 * self-hosted gateway runs.
 * @param folder an empty folder for the bundle and workerd's configuration
 * @throws with workerd's output when it exits or does not listen in time
 */
export function serveGateway(folder: string, variables: Record<string, string>, options: ServeOptions = {}): Promise<WorkerdServer> {
  execFileSync(
    process.execPath,
    [packageFile('wrangler', 'bin/wrangler.js'), 'deploy', '--dry-run', '--outdir', folder, '--config', 'wrangler.toml'],
    {
      cwd: ROOT,
      stdio: 'pipe',
      env: { ...process.env, CI: 'true' },
    },
  );
  return serveModules(folder, variables, { ...options, monitor: true });
}

/**
 * Runs the Worker whose modules lie in `folder` under `workerd serve`, with the gateway's compatibility settings.
 * @throws with workerd's output when it exits or does not listen in time
 */
export async function serveModules(folder: string, variables: Record<string, string>, options: ServeOptions = {}): Promise<WorkerdServer> {
  const [port, inspectorPort] = [await freePort(), await freePort()];
  const config = join(folder, 'gateway.capnp');
  writeFileSync(config, workerdConfig(folder, port, variables, options));
  const command = [...(options.launcher ?? []), packageFile('workerd', 'bin/workerd')];
  // Into a file: to read a pipe would cost whoever measures something.
  const logFile = join(folder, 'workerd.log');
  const log = openSync(logFile, 'w');
  const args = [...command.slice(1), 'serve', config, ...(options.inspector ? ['--inspector-addr', `127.0.0.1:${inspectorPort}`] : [])];
  const child = spawn(command[0]!, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  const url = `http://127.0.0.1:${port}`;
  for (const start = Date.now(); ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const listening = await fetch(`${url}/healthz`).then(
      () => true,
      () => false,
    );
    if (listening) break;
    if (child.pid === undefined || child.exitCode !== null || Date.now() - start > 20_000) {
      child.kill('SIGKILL');
      throw new Error(`workerd serve does not listen:\n${readFileSync(logFile, 'utf8')}`);
    }
  }
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  return { url, port, inspectorUrl: `http://127.0.0.1:${inspectorPort}`, process: child, stop };
}

/** The compatibility settings are those of wrangler.toml; the variables become text bindings. */
function workerdConfig(folder: string, port: number, variables: Record<string, string>, { v8Flags = [], monitor }: ServeOptions): string {
  const toml = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  const date = /^compatibility_date = "(.*)"$/m.exec(toml)![1];
  const flags = /^compatibility_flags = \[(.*)\]$/m.exec(toml)![1];
  const modules = readdirSync(folder).filter((name) => name.endsWith('.js'));
  const bindings = Object.entries(variables).map(([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`);
  if (monitor) bindings.push('(name = "ORIGIN_MONITOR", durableObjectNamespace = "OriginMonitor")');
  const objects = `durableObjectNamespaces = [(className = "OriginMonitor", uniqueKey = "monitor")], durableObjectStorage = (inMemory = void),`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = [${v8Flags.map((flag) => JSON.stringify(flag)).join(', ')}],
  services = [
    (name = "gateway", worker = .gateway),
    (name = "network", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "gateway")],
);
const gateway :Workerd.Worker = (
  modules = [${modules.map((name) => `(name = "${name}", esModule = embed "${name}")`).join(', ')}],
  compatibilityDate = "${date}",
  compatibilityFlags = [${flags}],
  bindings = [${bindings.join(', ')}],
  globalOutbound = "network",
  ${monitor ? objects : ''}
);
`;
}

function packageFile(name: string, file: string): string {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file);
}
