import { encodePlan, planHash } from '../../wasm/engine/pipeline/encode-plan.ts';
import { PipelineStage } from '../../wasm/engine/pipeline/pipeline-stage.ts';
import { planStages, totalBytes } from '../../wasm/engine/pipeline/plan.ts';
import type { PipelineMember } from '../../wasm/engine/stage.ts';
import { RemotePeer } from '../../worker/edge/pipeline/remote-peer.ts';
import { StageHost } from '../../worker/edge/pipeline/stage-host.ts';
import type { StageDoor } from '../../worker/edge/pipeline/stage-protocol.ts';
import { memoryPack, randomWeights } from './memory-pack.ts';
import { CONFIGS } from './models.ts';
import { loadMember } from './pipeline.ts';

const pack = memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 7), 'q8_0', { maxFileBytes: 6000 });
const sizes = { sessions: 3, contextLength: 256 };
const plan = planStages(pack.manifest, { ...sizes, budgetBytes: totalBytes(planStages(pack.manifest, sizes).stages[0]!) * 0.985 });

/** What stages and engine compare before they work together. */
export const PLAN = planHash(encodePlan(plan));

/** A session that is not mentioned for so long is freed, milliseconds. */
export const LEASE_MS = 1000;

/** The stages of the plan and ways to them, all in this process; the clock is the test's. */
export class HostedStages {
  clock = 0;
  hosts: StageHost[] = [];
  members: PipelineMember[] = [];
  /** Awaited before every call arrives. */
  delay: (stage: number) => Promise<void> = async () => {};
  running = 0;
  mostRunning = 0;

  constructor() {
    for (const stage of plan.stages.keys()) this.restart(stage);
  }

  restart(stage: number): void {
    const load = async () => {
      const { spec, wasmBytes } = plan.stages[stage]!;
      this.members[stage] = await loadMember(pack, spec, wasmBytes);
      return this.members[stage]!;
    };
    this.hosts[stage] = new StageHost({ plan: PLAN, stage, load, now: () => this.clock, leaseMs: LEASE_MS, arrived: () => {} });
  }

  door(stage: number): StageDoor {
    const host = this.hosts[stage]!;
    return {
      attach: (hello) =>
        host.attach(structuredClone(hello), (calls) => {
          const sent = async <A, T>(args: A, call: (args: A) => Promise<T>): Promise<T> => {
            this.running += 1;
            this.mostRunning = Math.max(this.mostRunning, this.running);
            await this.delay(stage);
            this.running -= 1;
            if (this.hosts[stage] !== host) throw new Error('The object is gone.');
            return structuredClone(await call(structuredClone(args)));
          };
          return {
            call: (method, args) => sent(args, (copy) => calls.call(method, copy)),
            step: (text, bytes) => sent([text, bytes] as const, (copy) => calls.step(...copy)),
            answer: (text, bytes) => sent([text, bytes] as const, (copy) => calls.answer(...copy)),
          };
        }),
    };
  }

  pipeline(changes: { callMs?: number; idleMs?: number } = {}) {
    const client = crypto.randomUUID();
    const options = { plan: PLAN, client, ...changes };
    const peers = plan.stages.map(({ spec }, stage) => new RemotePeer({ spec, stage, door: () => this.door(stage), ...options }));
    return { peers, stage: new PipelineStage(pack.manifest.config, peers, { ...sizes, wait: async () => {} }) };
  }

  async sessionBytes(): Promise<number> {
    const memory = await Promise.all(this.members.map((member) => member.memory()));
    return memory.reduce((sum, { sessionBytes }) => sum + sessionBytes, 0);
  }
}
