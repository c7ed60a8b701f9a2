import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { encodePlan } from '../../wasm/engine/pipeline/encode-plan.ts';
import { type Plan, type PlanOptions, planStages } from '../../wasm/engine/pipeline/plan.ts';
import { createFetchEdgeClient } from '../../worker/edge/http-client.ts';
import type { EdgeClient } from '../../worker/edge/protocol.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMPATIBILITY = { compatibilityDate: '2026-11-02', compatibilityFlags: ['enable_request_signal', 'request_signal_passthrough'] };
const REPLICA = 'model:test:0';

/** Passes requests on to the engine's object, which has no route of its own; asks stages for their memory, and ends them. */
const DOOR = `
export default {
  async fetch(request, env) {
    const [, method, index] = /^\\/(memory|die)\\/(\\d+)$/.exec(new URL(request.url).pathname) ?? [];
    if (!method) return env.EDGE_MODEL.getByName('${REPLICA}').fetch(request);
    const stage = env['STAGE_' + index].getByName('${REPLICA}:' + index);
    return Response.json((await stage[method]().catch(() => null)) ?? null);
  },
};`;

export interface PipelineWorkers {
  /** Null when the engine holds the whole model itself. */
  plan: Plan | null;
  /** As the Workers have it. */
  planText: string | null;
  client: EdgeClient;
  miniflare: Miniflare;
  /** Ends a stage's object at once, with everything it holds. */
  kill(stage: number): Promise<void>;
  memory(stage: number): Promise<{ wasmBytes: number; sessionBytes: number } | null>;
  inspectorUrl(): Promise<string>;
  stop(): Promise<void>;
}

export interface PipelineWorkersOptions {
  /** Folder of the pack. */
  pack: string;
  /** Null: one Worker with the whole model. */
  plan: Partial<PlanOptions> | null;
  /** Changes the plan that all Workers have, as `encodePlan` writes it. */
  editPlan?: (text: string) => string;
  /** More variables of the engine. */
  vars?: Record<string, string>;
  stageVars?: (stage: number) => Record<string, string>;
  /** Bundles made before (bundleWorkers). */
  bundles: Bundles;
  inspector?: boolean;
  /** Where local R2 lies, when the pack is to stay there: its prefix must be given then. */
  r2?: { path: string; bucket: string; prefix: string };
  /**
   * Stages that run in a second workerd process, which the first reaches by Cap'n Proto RPC over a TCP connection of this machine, as two `wrangler dev` reach each other. Not
   * with `r2`.
   */
  elsewhere?: (plan: Plan) => number[];
}

export interface Bundles {
  edge: string;
  stage: string;
  remove(): Promise<void>;
}

/** The Workers as `wrangler deploy` would send them. */
export async function bundleWorkers(): Promise<Bundles> {
  const folder = await mkdtemp(join(tmpdir(), 'nearside-pipeline-'));
  const bundle = (config: string, name: string) => {
    const args = [
      join(ROOT, 'node_modules/wrangler/bin/wrangler.js'),
      'deploy',
      '--dry-run',
      '--config',
      config,
      '--outdir',
      join(folder, name),
    ];
    execFileSync(process.execPath, args, { cwd: ROOT, stdio: 'pipe', env: { ...process.env, CI: 'true', WRANGLER_SEND_METRICS: 'false' } });
    return join(folder, name);
  };
  const [edge, stage] = [bundle('worker/edge/wrangler.toml', 'edge'), bundle('test/edge-worker/killable-stage/wrangler.toml', 'stage')];
  return { edge, stage, remove: () => rm(folder, { recursive: true, force: true }) };
}

async function modulesOf(folder: string) {
  const names = (await readdir(folder))
    .filter((name) => /\.(js|wasm)$/.test(name))
    .sort((a, b) => Number(b === 'index.js') - Number(a === 'index.js'));
  const typeOf = (name: string) => (name.endsWith('.js') ? ('ESModule' as const) : ('CompiledWasm' as const));
  return { modules: names.map((name) => ({ type: typeOf(name), path: join(folder, name) })), modulesRoot: folder };
}

/** Starts the engine, and where there is a plan its stages, each as a script with an isolate of its own, in one workerd process. */
export async function startPipeline(options: PipelineWorkersOptions): Promise<PipelineWorkers> {
  const { manifest } = await openPack(new FolderStorage(options.pack));
  const plan = options.plan && planStages(manifest, options.plan);
  const planText = plan && (options.editPlan?.(encodePlan(plan)) ?? encodePlan(plan));
  const prefix = options.r2?.prefix ?? 'packs/test';
  const shared = { ...COMPATIBILITY, r2Buckets: { MODELS: options.r2?.bucket ?? 'nearside-pipeline-test' } };
  const vars: Record<string, string> = { NEARSIDE_EDGE_PACK: prefix, ...(planText && { NEARSIDE_EDGE_PLAN: planText }) };
  const stages = plan?.stages.map((_, i) => i) ?? [];
  const stageBindings = Object.fromEntries(
    stages.map((i) => [`STAGE_${i}`, { className: 'StageModel', scriptName: `stage-${i}`, useSQLite: true }]),
  );
  const edgeVars = {
    ...vars,
    ...(plan && { NEARSIDE_EDGE_PLACEMENT: 'pipeline' }),
    NEARSIDE_EDGE_MEMORY_BYTES: String(4 * 1024 ** 3),
    ...options.vars,
  };
  const stageModules = await modulesOf(options.bundles.stage);
  const stageWorker = (i: number) => ({
    name: `stage-${i}`,
    ...stageModules,
    ...shared,
    bindings: { ...vars, NEARSIDE_STAGE: String(i), ...options.stageVars?.(i) },
    durableObjects: { STAGE_MODEL: { className: 'StageModel', useSQLite: true } },
  });
  const elsewhere = (plan && options.elsewhere?.(plan)) ?? [];
  const registry = elsewhere.length > 0 ? await mkdtemp(join(tmpdir(), 'nearside-registry-')) : null;
  const second =
    registry === null
      ? null
      : new Miniflare(convertV4MiniflareOptions({ workers: elsewhere.map(stageWorker), unsafeDevRegistryPath: registry }));
  await second?.ready;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          name: 'door',
          modules: true,
          script: DOOR,
          ...COMPATIBILITY,
          durableObjects: { EDGE_MODEL: { className: 'EdgeModel', scriptName: 'edge', useSQLite: true }, ...stageBindings },
        },
        {
          name: 'edge',
          ...(await modulesOf(options.bundles.edge)),
          ...shared,
          bindings: edgeVars,
          durableObjects: { EDGE_MODEL: { className: 'EdgeModel', useSQLite: true }, ...stageBindings },
        },
        ...stages.filter((i) => !elsewhere.includes(i)).map(stageWorker),
      ],
      ...(registry && { unsafeDevRegistryPath: registry }),
      ...(options.r2 && { resourcePersistencePath: options.r2.path }),
      ...(options.inspector && { inspectorPort: 0 }),
    }),
  );
  await miniflare.ready;
  if (!options.r2) {
    await upload(miniflare, 'edge', options.pack, prefix);
    if (second) await upload(second, `stage-${elsewhere[0]}`, options.pack, prefix);
  }
  const fetch = (path: string, init?: object) =>
    miniflare.dispatchFetch(`http://door.invalid${path}`, init) as unknown as Promise<Response>;
  return {
    plan,
    planText,
    client: createFetchEdgeClient(fetch),
    miniflare,
    kill: async (stage) => void (await fetch(`/die/${stage}`)),
    memory: async (stage) => (await (await fetch(`/memory/${stage}`)).json()) as { wasmBytes: number; sessionBytes: number } | null,
    inspectorUrl: async () => (await miniflare.getInspectorURL()).href,
    stop: async () => {
      await miniflare.dispose();
      await second?.dispose();
      if (registry) await rm(registry, { recursive: true, force: true });
    },
  };
}

/** Puts a pack into the local R2 of a Worker's process. */
async function upload(miniflare: Miniflare, worker: string, pack: string, prefix: string): Promise<void> {
  const bucket = await miniflare.getR2Bucket('MODELS', worker);
  for (const name of await readdir(pack)) await bucket.put(`${prefix}/${name}`, new Uint8Array(await readFile(join(pack, name))));
}
