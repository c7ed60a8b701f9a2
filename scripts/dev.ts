import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeEngineConfig } from './dev/engine-config.ts';
import { makeFixturePack } from './dev/fixture-pack.ts';
import { copyPackToR2 } from './dev/local-r2.ts';
import { runWrangler } from './dev/wrangler.ts';

const HELP = `npm run dev -- [--port N] [--model PACK_DIR] [--var NAME:VALUE]...

Serves the gateway and the edge engine on http://127.0.0.1:8787, in development mode (no API key needed).

  --port N           listen on another port
  --model PACK_DIR   answer with this pack instead of random weights; make one with: npm run -s models -- pack SOURCE PACK_DIR
  --var NAME:VALUE   set a variable, for instance NEARSIDE_ORIGIN_URL:http://127.0.0.1:8080/v1; may be repeated`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STATE = join(ROOT, '.wrangler', 'state');
/** Off Cloudflare no isolate is held to 128 MB: what WebAssembly can address. */
const MEMORY_BYTES = String(4 * 1024 ** 3);

/** A mistake of the person at the keyboard: told in one sentence, without a stack. */
class UsageError extends Error {}

interface Options {
  port: number;
  model: string | null;
  /** NAME:VALUE each. */
  vars: string[];
}

function readOptions(): Options | null {
  const options = {
    port: { type: 'string', default: '8787' },
    model: { type: 'string' },
    var: { type: 'string', multiple: true },
    help: { type: 'boolean', short: 'h' },
  } as const;
  let values: { port: string; model?: string; var?: string[]; help?: boolean };
  try {
    values = parseArgs({ options }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message} See npm run dev -- --help.`);
  }
  if (values.help) return null;
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new UsageError(`--port must be a number from 1 to 65535, and "${values.port}" is not.`);
  const vars = values.var ?? [];
  const wrong = vars.find((text) => !/^[A-Z_][A-Z0-9_]*:/.test(text));
  if (wrong !== undefined) throw new UsageError(`--var must be NAME:VALUE, and "${wrong.split(':')[0]}" is not.`);
  return { port, model: values.model === undefined ? null : resolve(values.model), vars };
}

function checkPortIsFree(port: number): Promise<void> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used (${error.code})`;
      fail(new UsageError(`Port ${port} ${reason}: stop that, or choose another with --port.`));
    });
    server.listen(port, '127.0.0.1', () => server.close(() => done()));
  });
}

/** Puts the model where the engine finds it. Answers the engine's variables and a line for people. */
async function prepareModel(model: string | null): Promise<{ vars: Record<string, string>; about: string }> {
  if (model === null) {
    await makeFixturePack(ROOT, join(ROOT, 'worker/edge/assets/default'));
    const about = `nearside-fixture: RANDOM WEIGHTS, so its answers are noise. For a real model:
                 npm run -s models -- pack SOURCE PACK_DIR && npm run dev -- --model PACK_DIR`;
    return { vars: { NEARSIDE_EDGE_PACK: 'assets:default' }, about };
  }
  const onCopy = (megabytes: number) => console.log(`Copying ${megabytes.toFixed(0)} MB into local R2, this once ...`);
  const { name, fixture, prefix } = await copyPackToR2(model, join(ROOT, 'worker/edge/wrangler.toml'), STATE, onCopy);
  return {
    vars: { NEARSIDE_EDGE_PACK: prefix, NEARSIDE_EDGE_MEMORY_BYTES: MEMORY_BYTES },
    about: fixture ? `${name}: RANDOM WEIGHTS, so its answers are noise` : name,
  };
}

async function serve({ port, model, vars }: Options): Promise<number> {
  await checkPortIsFree(port);
  const { vars: engineVars, about } = await prepareModel(model);
  const forEngine = vars
    .filter((text) => text.startsWith('NEARSIDE_EDGE_'))
    .map((text) => [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)]);
  const engine = await writeEngineConfig(ROOT, `engine-${port}`, { ...engineVars, ...Object.fromEntries(forEngine) });
  const origin = vars.find((text) => text.startsWith('NEARSIDE_ORIGIN_URL:'));
  console.log(`Nearside, development server
  API          http://127.0.0.1:${port}/v1
  Edge model   ${about}
  Origin       ${origin ? origin.slice('NEARSIDE_ORIGIN_URL:'.length) : 'none; set one with --var NEARSIDE_ORIGIN_URL:... --var NEARSIDE_ORIGIN_MODEL:...'}
  Stop         Ctrl-C
`);
  return runWrangler(ROOT, [
    ...['dev', '--config', join(ROOT, 'wrangler.toml'), '--config', engine],
    ...['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0', '--persist-to', STATE],
    ...['NEARSIDE_DEV:1', ...vars].flatMap((text) => ['--var', text]),
  ]);
}

try {
  const options = readOptions();
  if (options) process.exitCode = await serve(options);
  else console.log(HELP);
} catch (error) {
  const known = error instanceof UsageError || (error instanceof Error && error.name === 'ModelError');
  console.error(known ? (error as Error).message : error);
  process.exitCode = 1;
}
