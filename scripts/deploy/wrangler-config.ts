import type { Settings } from './settings.ts';

interface ObjectBinding {
  name: string;
  class_name: string;
  script_name?: string;
}

/** What is read and written of a wrangler configuration; the rest is passed on as it is. */
export interface WranglerConfig {
  name?: string;
  main?: string;
  vars?: Record<string, unknown>;
  durable_objects?: { bindings: ObjectBinding[] };
  r2_buckets?: { binding: string; bucket_name: string }[];
  [key: string]: unknown;
}

/** The committed configurations. `container` is null in a checkout that has none. */
export interface BaseConfigs {
  gateway: WranglerConfig;
  edge: WranglerConfig;
  stage: WranglerConfig;
  container: WranglerConfig | null;
}

interface EngineInput {
  settings: Settings;
  prefix: string;
  /** Encoded; null where the engine holds the model itself. */
  plan: string | null;
}

/** One stage's Worker. */
export function stageConfig(base: WranglerConfig, { settings, prefix, plan, stage }: EngineInput & { stage: number }): WranglerConfig {
  const vars = { ...base.vars, NEARSIDE_EDGE_PACK: prefix, NEARSIDE_EDGE_PLAN: plan!, NEARSIDE_STAGE: String(stage) };
  return { ...withoutDevelopment(base), vars, r2_buckets: [{ binding: 'MODELS', bucket_name: settings.model.bucket }] };
}

/** The engine's Worker: alone, before its stages, or before a container. */
export function edgeConfig(
  base: WranglerConfig | null,
  { settings, prefix, plan, stageScript }: EngineInput & { stageScript(stage: number): string },
): WranglerConfig {
  if (!base) throw new Error('There is no configuration of the engine for this placement.');
  const { edge, model } = settings;
  const contained = edge.placement === 'container';
  const { assets: _, ...rest } = withoutDevelopment(base);
  const stages = plan === null ? 0 : (JSON.parse(plan) as { stages: unknown[] }).stages.length;
  const stageBindings = Array.from({ length: stages }, (_, stage) => ({
    name: `STAGE_${stage}`,
    class_name: 'StageModel',
    script_name: stageScript(stage),
  }));
  return {
    ...rest,
    durable_objects: { bindings: [...(base.durable_objects?.bindings ?? []), ...stageBindings] },
    // A container's pack is part of its image.
    ...(!contained && { r2_buckets: [{ binding: 'MODELS', bucket_name: model.bucket }] }),
    vars: {
      ...base.vars,
      ...(!contained && { NEARSIDE_EDGE_PACK: prefix }),
      NEARSIDE_EDGE_SESSIONS: String(edge.sessions),
      NEARSIDE_EDGE_QUEUE: String(edge.queue),
      ...(!contained && { NEARSIDE_EDGE_MEMORY_BYTES: String(edge.budgetBytes) }),
      ...(plan !== null && { NEARSIDE_EDGE_PLACEMENT: 'pipeline', NEARSIDE_EDGE_PLAN: plan }),
    },
  };
}

/** The gateway, bound to one version of the engine. @param price where the engine runs, as NEARSIDE_EDGE_PRICE has it */
export function gatewayConfig(
  base: WranglerConfig,
  { settings, engine, price }: { settings: Settings; engine: string; price: object },
): WranglerConfig {
  const { edge, gateway, model, origins } = settings;
  const bindings = (base.durable_objects?.bindings ?? []).map((binding) =>
    binding.name === 'EDGE_MODEL' ? { ...binding, script_name: engine } : binding,
  );
  return {
    ...withoutDevelopment(base),
    durable_objects: { bindings },
    vars: {
      ...base.vars,
      NEARSIDE_EDGE_PRICE: JSON.stringify(price),
      ...gateway.vars,
      ...(origins.length > 0 && { NEARSIDE_ORIGINS: JSON.stringify(origins) }),
      ...(model.name !== null && { NEARSIDE_EDGE_MODEL: model.name }),
      ...(edge.regions.length > 0 && { NEARSIDE_EDGE_REGIONS: edge.regions.join(',') }),
      ...(edge.replicas > 1 && { NEARSIDE_EDGE_REPLICAS: String(edge.replicas) }),
    },
    ...(gateway.domain === null
      ? { workers_dev: true }
      : { workers_dev: false, routes: [{ pattern: gateway.domain, custom_domain: true }] }),
    preview_urls: false,
  };
}

/** Paths of these are relative to the committed file, and the bundle needs none of them. */
function withoutDevelopment(base: WranglerConfig): WranglerConfig {
  const { main: _, $schema: __, ...rest } = base;
  return rest;
}
