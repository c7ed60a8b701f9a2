import type { Manifest } from '../../../models/pack/manifest.ts';
import type { PlacedPlan } from '../../../wasm/engine/pipeline/encode-plan.ts';
import { PipelineStage } from '../../../wasm/engine/pipeline/pipeline-stage.ts';
import { packHash } from '../../../wasm/engine/pipeline/plan.ts';
import { RemotePeer } from './remote-peer.ts';
import type { StageDoor } from './stage-protocol.ts';

export interface ConnectOptions {
  manifest: Manifest;
  plan: PlacedPlan;
  /** A way to a stage of the plan, made anew at each call. Throws when there is none. */
  door(stage: number): StageDoor;
  /** Is told of stages that were lost and whose sessions were computed again. */
  onLoss?: (error: unknown) => void;
}

/** The stages of a plan as one. Has them all load. Throws an Error that says which one is missing, of another version or plan, or cannot load. */
export async function connectPipeline({ manifest, plan, door, onLoss }: ConnectOptions): Promise<PipelineStage> {
  const { stages, pack, contextLength, hash } = plan;
  const found = packHash(manifest);
  if (found !== pack)
    throw new Error(
      `The pack ${manifest.name} (${found}) is not the one that NEARSIDE_EDGE_PLAN was made for (${pack}): make the plan again.`,
    );
  if (stages.length === 1)
    throw new Error(
      `The plan puts all of ${manifest.name} into one stage: leave out NEARSIDE_EDGE_PLACEMENT, and the engine loads it itself.`,
    );
  const client = crypto.randomUUID();
  const peers = stages.map(({ spec }, stage) => new RemotePeer({ spec, stage, plan: hash, client, door: () => door(stage) }));
  const stage = new PipelineStage(manifest.config, peers, { contextLength, onLoss });
  await stage.connect();
  return stage;
}
