import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { firstSentence } from '../models/cli/option-errors.ts';
import type { Manifest } from '../models/pack/manifest.ts';
import { encodePlan } from '../wasm/engine/pipeline/encode-plan.ts';
import { planStages } from '../wasm/engine/pipeline/plan.ts';
import { writeEngineConfig, writeStageConfigs } from './dev/engine-config.ts';
import { makeFixturePack } from './dev/fixture-pack.ts';
import { copyPackToR2 } from './dev/local-r2.ts';
import { runWrangler } from './dev/wrangler.ts';

const HELP = `npm run dev -- [--port N] [--model PACK_DIR [--pipeline]] [--var NAME:VALUE]...

Serves the gateway and the edge engine on http://127.0.0.1:8787, in development mode (no API key needed).

  --port N           listen on another port
  --model PACK_DIR   answer with this pack instead of the small demo model; make one with: npm run -s models -- pack SOURCE PACK_DIR
  --pipeline         place the model in a pipeline of Workers, as on Cloudflare (docs/pipeline.md); see also: npm run -s models -- plan PACK_DIR
  --fixture          answer with random weights: noise, but as much of it as is asked for
  --var NAME:VALUE   set a variable, for instance NEARSIDE_ORIGIN_URL:http://127.0.0.1:8080/v1; may be repeated`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STATE = join(ROOT, '.wrangler', 'state');
/** Off Cloudflare no isolate is held to 128 MB: what WebAssembly can address. */
const MEMORY_BYTES = String(4 * 1024 ** 3);

const USE_A_MODEL = `For another model:
                 npm run -s models -- pack SOURCE PACK_DIR && npm run dev -- --model PACK_DIR`;

/** A mistake of the person at the keyboard: told in one sentence, without a stack. */
class UsageError extends Error {}

interface Options {
  port: number;
  model: string | null;
  /** Serve random weights, which never stop answering. */
  fixture: boolean;
  pipeline: boolean;
  /** NAME:VALUE each. */
  vars: string[];
}

function readOptions(): Options | null {
  const options = {
    port: { type: 'string', default: '8787' },
    model: { type: 'string' },
    fixture: { type: 'boolean', default: false },
    pipeline: { type: 'boolean', default: false },
    var: { type: 'string', multiple: true },
    help: { type: 'boolean', short: 'h' },
  } as const;
  let values: { port: string; model?: string; fixture: boolean; pipeline: boolean; var?: string[]; help?: boolean };
  try {
    values = parseArgs({ options }).values;
  } catch (error) {
    throw new UsageError(`${firstSentence(error)}. See npm run dev -- --help.`);
  }
  if (values.help) return null;
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new UsageError(`--port must be a number from 1 to 65535, and "${values.port}" is not.`);
  const vars = values.var ?? [];
  const wrong = vars.find((text) => !/^[A-Z_][A-Z0-9_]*:/.test(text));
  if (wrong !== undefined) throw new UsageError(`--var must be NAME:VALUE, and "${wrong.split(':')[0]}" is not.`);
  if (values.fixture && values.model !== undefined) throw new UsageError('--fixture and --model exclude each other: leave one out.');
  if (values.pipeline && values.model === undefined)
    throw new UsageError('--pipeline wants --model: the demo model fits into one Worker many times over.');
  return {
    port,
    model: values.model === undefined ? null : resolve(values.model),
    fixture: values.fixture,
    pipeline: values.pipeline,
    vars,
  };
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

interface PreparedModel {
  /** Folder of the engine's static assets. */
  assets: string;
  /** The engine's variables. */
  vars: Record<string, string>;
  /** The stages that hold it, and their variables; null when the engine does. */
  stages?: { count: number; vars: Record<string, string> };
  /** A line for people. */
  about: string;
}

/** Puts the model where the engine finds it. */
async function prepareModel({ model, fixture, pipeline }: Options): Promise<PreparedModel> {
  const demo = join(ROOT, 'models/demo/pack');
  if (fixture) {
    const assets = join(ROOT, '.cache/fixture-assets');
    await makeFixturePack(ROOT, join(assets, 'default'));
    return {
      assets,
      vars: { NEARSIDE_EDGE_PACK: 'assets:default' },
      about: `nearside-fixture: RANDOM WEIGHTS, so its answers are noise. ${USE_A_MODEL}`,
    };
  }
  if (model === null)
    return { assets: demo, vars: {}, about: `nearside-demo, for trying things out (models/demo/README.md). ${USE_A_MODEL}` };
  const onCopy = (megabytes: number) => console.log(`Copying ${megabytes.toFixed(0)} MB into local R2, this once ...`);
  const { name, fixture: random, prefix, manifest } = await copyPackToR2(model, join(ROOT, 'worker/edge/wrangler.toml'), STATE, onCopy);
  if (pipeline) return { assets: demo, ...(await planPipeline(manifest, prefix)) };
  return {
    assets: demo,
    vars: { NEARSIDE_EDGE_PACK: prefix, NEARSIDE_EDGE_MEMORY_BYTES: MEMORY_BYTES },
    about: random ? `${name}: RANDOM WEIGHTS, so its answers are noise` : name,
  };
}

async function planPipeline(manifest: Manifest, prefix: string): Promise<Omit<PreparedModel, 'assets'>> {
  const plan = planStages(manifest);
  const { length } = plan.stages;
  if (length === 1) throw new UsageError(`${manifest.name} fits into one Worker: leave out --pipeline.`);
  const vars = { NEARSIDE_EDGE_PACK: prefix, NEARSIDE_EDGE_PLAN: encodePlan(plan) };
  return {
    // All stages compute in one process here, so there is nothing to gain from several batches at once.
    vars: { ...vars, NEARSIDE_EDGE_PLACEMENT: 'pipeline', NEARSIDE_EDGE_TURNS: '1' },
    stages: { count: length, vars },
    about: `${manifest.name}${manifest.fixture ? ', RANDOM WEIGHTS,' : ''} in ${length} stages, for ${plan.sessions} requests of ${plan.contextLength} tokens at once`,
  };
}

async function serve(options: Options): Promise<number> {
  const { port, vars } = options;
  await checkPortIsFree(port);
  const { assets, vars: engineVars, stages, about } = await prepareModel(options);
  const forEngine = vars
    .filter((text) => text.startsWith('NEARSIDE_EDGE_'))
    .map((text) => [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)]);
  const placed = stages ? { prefix: `stage-${port}`, count: stages.count } : null;
  const engine = await writeEngineConfig(ROOT, `engine-${port}`, assets, { ...engineVars, ...Object.fromEntries(forEngine) }, placed);
  const stageConfigs = stages && placed ? await writeStageConfigs(ROOT, placed, stages.vars) : [];
  const origin = vars.find((text) => text.startsWith('NEARSIDE_ORIGIN_URL:'));
  console.log(`Nearside, development server
  API          http://127.0.0.1:${port}/v1
  Edge model   ${about}
  Origin       ${origin ? origin.slice('NEARSIDE_ORIGIN_URL:'.length) : 'none; set one with --var NEARSIDE_ORIGIN_URL:... --var NEARSIDE_ORIGIN_MODEL:...'}
  Stop         Ctrl-C
`);
  return runWrangler(ROOT, [
    ...['dev', '--config', join(ROOT, 'wrangler.toml'), ...[engine, ...stageConfigs].flatMap((path) => ['--config', path])],
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
