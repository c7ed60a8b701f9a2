import { expect, it } from 'vitest';
import type { EdgeEnv } from '../../worker/edge/bindings.ts';
import { stageDoors } from '../../worker/edge/pipeline/stage-doors.ts';
import { regions, replicaName } from '../../worker/edge/replicas.ts';

/** Bindings of so many stages that note which objects are asked for. */
function stages(count: number) {
  const got: { stage: number; name: string; hint: string | undefined }[] = [];
  const env: Record<string, unknown> = {};
  for (let stage = 0; stage < count; stage++)
    env[`STAGE_${stage}`] = {
      idFromName: (name: string) => name,
      get: (name: string, { locationHint: hint }: { locationHint?: string } = {}) => {
        got.push({ stage, name, hint });
        return {};
      },
    };
  return { got, env: env as EdgeEnv };
}

it('opens the stages of a replica in its region, under names of their own', () => {
  for (const region of regions) {
    const { got, env } = stages(2);
    const door = stageDoors(env, replicaName({ region, index: 1 }));
    door(0);
    door(1);
    expect(got).toEqual([
      { stage: 0, name: `default:${region}:1:0`, hint: region },
      { stage: 1, name: `default:${region}:1:1`, hint: region },
    ]);
  }
});

it('leaves stages to start near the engine where no region is set, or its object has no name', () => {
  const { got, env } = stages(1);
  stageDoors(env, replicaName({ region: null, index: 0 }))(0);
  stageDoors(env, 'a3f90c')(0);
  expect(got).toEqual([
    { stage: 0, name: 'default:any:0:0', hint: undefined },
    { stage: 0, name: 'a3f90c:0', hint: undefined },
  ]);
});

it('says which binding is missing', () => {
  const { env } = stages(2);
  expect(() => stageDoors(env, 'default:weur:0')(2)).toThrow('STAGE_2');
});
