import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parseEdgeConfig } from '../worker/edge/config.ts';
import { RefusalError } from '../worker/edge/refusal.ts';
import { createFetchServer } from './edge-node/http.ts';
import { createNodeEdgeServer, defaultThreads, maxThreads } from './edge-node/place.ts';

const HELP = `npm run edge-node -- --model PACK_DIR [--port N] [--host ADDRESS] [--threads N]

Serves the edge engine alone, in this process: for a gateway that has no engine Worker. The gateway takes it as its edge model with
NEARSIDE_EDGE_URL=http://ADDRESS:PORT and the same NEARSIDE_EDGE_KEY.

  --model PACK_DIR   the model; make one with: npm run -s models -- pack SOURCE PACK_DIR
  --port N           listen on this port (default 8790; 0 takes any that is free)
  --host ADDRESS     listen on this address (default 127.0.0.1); any but this machine's own asks for a key
  --threads N        compute on so many threads (default: one for each processor, at most 4; here ${defaultThreads})

Environment:
  NEARSIDE_EDGE_KEY                  secret that the gateway must bring; nobody else is served then
  NEARSIDE_EDGE_SESSIONS, _QUEUE     answers that run at once (4), and that may wait (8)
  NEARSIDE_EDGE_MEMORY_BYTES         most memory of the engine (4 GiB)
  NEARSIDE_EDGE_PREFIX_CACHE_BYTES   how much of that evaluated prompts may take (256 MB; 0 for none)
  NEARSIDE_EDGE_STALL_MS             longest wait for a client that does not read (30000)`;

/** A mistake of the person at the keyboard: told in one sentence, without a stack. */
class UsageError extends Error {}

interface Options {
  model: string;
  port: number;
  host: string;
  threads: number;
}

function readOptions(): Options | null {
  const text = { type: 'string' } as const;
  const options = { model: text, port: text, host: text, threads: text, help: { type: 'boolean', short: 'h' } } as const;
  let values: { model?: string; port?: string; host?: string; threads?: string; help?: boolean };
  try {
    values = parseArgs({ options }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message} See npm run edge-node -- --help.`);
  }
  if (values.help) return null;
  if (!values.model) throw new UsageError('--model PACK_DIR is missing: make a pack with npm run -s models -- pack SOURCE PACK_DIR.');
  return {
    model: resolve(values.model),
    port: whole('port', values.port ?? '8790', 0, 65_535),
    host: values.host ?? '127.0.0.1',
    threads: whole('threads', values.threads ?? String(defaultThreads), 1, maxThreads),
  };
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  const bounds = min === max ? `${min} on this machine` : `a whole number from ${min} to ${max}`;
  throw new UsageError(`--${name} must be ${bounds}, and "${text}" is not.`);
}

async function serve({ model, port, host, threads }: Options): Promise<void> {
  const key = process.env.NEARSIDE_EDGE_KEY || null;
  if (key === null && !/^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host))
    throw new UsageError(`--host ${host} can be reached by other machines: set NEARSIDE_EDGE_KEY, here and at the gateway.`);
  const config = parseEdgeConfig({ NEARSIDE_EDGE_MEMORY_BYTES: String(4 * 1024 ** 3), ...process.env });
  const edge = createNodeEdgeServer(model, config, threads);
  await edge.load();
  const server = createFetchServer((request) => edge.fetch(request), { key, onError: (error) => console.error(error) });
  server.listen(port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used (${error.code})`;
    throw new UsageError(`${host}:${port} ${reason}: stop that, or choose another with --port.`);
  });
  const { model: name, fixture, loadMs } = await edge.status();
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
  console.log(`Nearside, edge engine
  Engine       ${address}
  Model        ${name}${fixture ? ': RANDOM WEIGHTS, so its answers are noise' : ''} (loaded in ${loadMs} ms, ${threads} thread${threads > 1 ? 's' : ''})
  Gateway      npm run dev -- --var NEARSIDE_EDGE_URL:${address}${key === null ? '' : ' --var NEARSIDE_EDGE_KEY:...'}
  Stop         Ctrl-C
`);
  stopOnSignal(() => {
    server.close();
    // Answers that run are cut off: whoever stops the engine wants it to stop.
    server.closeAllConnections();
    process.exit(0);
  });
}

function stopOnSignal(stop: () => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  // npm runs scripts in a shell, and a signal to npm alone ends the shell without a word to this process.
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && stop(), 500).unref();
}

try {
  const options = readOptions();
  if (options) await serve(options);
  else console.log(HELP);
} catch (error) {
  const known = error instanceof UsageError || error instanceof RefusalError || (error as Error).message.startsWith('NEARSIDE_');
  console.error(known ? (error as Error).message : error);
  process.exitCode = 1;
}
