import { createHash } from 'node:crypto';
import { ModelError } from '../../models/model-error.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import { encodePlan } from '../../wasm/engine/pipeline/encode-plan.ts';
import { type Plan, planStages } from '../../wasm/engine/pipeline/plan.ts';
import { DeployError } from './deploy-error.ts';
import type { Settings } from './settings.ts';
import { type BaseConfigs, edgeConfig, gatewayConfig, stageConfig, type WranglerConfig } from './wrangler-config.ts';

export type ScriptKind = 'stage' | 'engine' | 'gateway';

/** A Worker to deploy. */
export interface Script {
  kind: ScriptKind;
  name: string;
  /** As wrangler reads it, but for `main`, which is the place of its bundle. */
  config: WranglerConfig;
}

/** All that a deployment consists of. */
export interface Deployment {
  /** Hash of the pack, its plan, the settings and the code of engine and stages: 8 hex digits that are part of their names, so that versions never mix. */
  version: string;
  /** The same of the gateway alone, which has one name for ever. */
  gatewayHash: string;
  placement: Settings['edge']['placement'];
  /** How the pack is cut; one stage where an isolate or a container holds it all. */
  memory: Plan;
  budgetBytes: number;
  bucket: string;
  /** Where the pack goes in the bucket. */
  prefix: string;
  objects: number;
  packBytes: number;
  /** In the order in which they are deployed: each is there before the next one refers to it. */
  scripts: Script[];
  secrets: string[];
  notes: string[];
}

export interface PlanInput {
  settings: Settings;
  manifest: Manifest;
  /** The prefix that the pack is uploaded to by default: it is named after its content. */
  prefix: string;
  /** The committed configurations, which the generated ones start from. */
  base: BaseConfigs;
  /** Hashes of what engine and stages, and the gateway, are built from. */
  engineSources: string;
  gatewaySources: string;
}

/** A container's smallest size that is of use has so much. */
const CONTAINER_BYTES = 4 * 1024 ** 3;

/** Says what a deployment will consist of. Touches nothing. Throws `DeployError` that says what does not fit. */
export function planDeployment({ settings, manifest, prefix, base, engineSources, gatewaySources }: PlanInput): Deployment {
  const { name, edge } = settings;
  const memory = planMemory(settings, manifest);
  const pipeline = edge.placement === 'pipeline' && memory.stages.length > 1;
  const placement = edge.placement === 'pipeline' && !pipeline ? 'isolate' : edge.placement;
  const plan = pipeline ? encodePlan(memory) : null;
  const unnamed = {
    stages: pipeline ? memory.stages.map((_, stage) => stageConfig(base.stage, { settings, prefix, plan: plan!, stage })) : [],
    engine: edgeConfig(placement === 'container' ? base.container : base.edge, {
      settings,
      prefix,
      plan,
      stageScript: (stage) => String(stage),
    }),
  };
  const version = shortHash({ ...unnamed, pack: memory.pack, engineSources });
  const stageScript = (stage: number) => `${name}-stage-${version}-${stage}`;
  const engine = `${name}-edge-${version}`;
  const engineBase = placement === 'container' ? base.container : base.edge;
  const price = placement === 'container' ? { place: 'container' } : { place: 'durable-object', objects: unnamed.stages.length + 1 };
  const gateway = gatewayConfig(base.gateway, { settings, engine, price });
  return {
    version,
    gatewayHash: shortHash({ gateway, gatewaySources }),
    placement,
    memory,
    budgetBytes: placement === 'container' ? CONTAINER_BYTES : edge.budgetBytes,
    bucket: settings.model.bucket,
    prefix,
    objects: manifest.files.length + (manifest.tokenizer ? 2 : 1),
    packBytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, manifest.tokenizer?.bytes ?? 0),
    scripts: [
      ...unnamed.stages.map((config, stage): Script => named('stage', stageScript(stage), config)),
      named('engine', engine, edgeConfig(engineBase, { settings, prefix, plan, stageScript })),
      named('gateway', name, gateway),
    ],
    secrets: settings.secrets,
    notes:
      placement === edge.placement
        ? []
        : ['The whole model fits one isolate, so it is placed in one: a pipeline of one stage would only add a hop.'],
  };
}

/** https://developers.cloudflare.com/workers/platform/limits/#environment-variables */
const MAX_VARIABLE_BYTES = 5_000;

function named(kind: ScriptKind, name: string, config: WranglerConfig): Script {
  for (const [variable, value] of Object.entries(config.vars ?? {})) {
    const bytes = Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value));
    if (bytes > MAX_VARIABLE_BYTES)
      throw new DeployError(
        `${variable} of ${name} would have ${bytes} bytes, and a variable may have ${MAX_VARIABLE_BYTES}${variable === 'NEARSIDE_ORIGINS' ? ': keep the list of origins in KV instead (docs/origins.md)' : ''}.`,
      );
  }
  return { kind, name, config: { ...config, name } };
}

function planMemory({ edge }: Settings, manifest: Manifest): Plan {
  const budgetBytes = edge.placement === 'container' ? CONTAINER_BYTES : edge.budgetBytes;
  try {
    const plan = planStages(manifest, { budgetBytes, sessions: edge.sessions, contextLength: edge.context });
    if (edge.placement === 'pipeline' || plan.stages.length === 1) return plan;
    throw new DeployError(
      `${manifest.name} does not fit one ${edge.placement} of ${Math.round(budgetBytes / 1e6)} MB: it takes ${plan.stages.length} stages. Set edge.placement to "pipeline", or take a smaller pack.`,
    );
  } catch (error) {
    throw error instanceof ModelError ? new DeployError(error.message) : error;
  }
}

/** Where an image is built from is another place on every machine. */
const PLACES = new Set(['image', 'image_build_context']);

function shortHash(value: unknown): string {
  const text = JSON.stringify(value, (key, part) => (PLACES.has(key) ? undefined : part));
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** Names of engines and stages of any version that a deployment of this name has made. */
export function isVersioned(name: string, script: string): boolean {
  return script.startsWith(`${name}-`) && /^(edge-[0-9a-f]{8}|stage-[0-9a-f]{8}-\d+)$/.test(script.slice(name.length + 1));
}

/** The version in such a name. */
export const versionOf = (script: string): string => /-([0-9a-f]{8})(-\d+)?$/.exec(script)?.[1] ?? '';
