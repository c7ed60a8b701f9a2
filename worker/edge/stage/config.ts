import { decodePlan, type PlacedPlan } from '../../../wasm/engine/pipeline/encode-plan.ts';
import type { EdgeEnv } from '../bindings.ts';

/** Bindings and variables of a stage Worker (worker/edge/stage/wrangler.toml). */
export type StageEnv = EdgeEnv;

export interface StageConfig {
  plan: PlacedPlan;
  /** Which of its stages this Worker is. */
  stage: number;
  leaseMs: number;
}

const LEASE_SECONDS = 120;

/** Throws an Error that names the variable that is wrong. */
export function parseStageConfig(env: StageEnv): StageConfig {
  const plan = decodePlan(env.NEARSIDE_EDGE_PLAN ?? '');
  const { stages } = plan;
  const stage = Number(env.NEARSIDE_STAGE || Number.NaN);
  if (!Number.isInteger(stage) || stage < 0 || stage >= stages.length)
    throw new Error(
      `NEARSIDE_STAGE is not valid: it must be a whole number from 0 to ${stages.length - 1}, which stage of the plan this is.`,
    );
  const lease = Number(env.NEARSIDE_STAGE_LEASE_SECONDS || LEASE_SECONDS);
  if (!(lease > 0 && lease <= 86_400))
    throw new Error('NEARSIDE_STAGE_LEASE_SECONDS is not valid: it must be a number of seconds, at most 86400.');
  return { plan, stage, leaseMs: lease * 1000 };
}
