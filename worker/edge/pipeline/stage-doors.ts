import type { EdgeEnv } from '../bindings.ts';
import { regionOf } from '../replicas.ts';
import type { StageDoor } from './stage-protocol.ts';

/**
 * Ways to the stages of one replica. Each replica has stages of its own: their objects are named after its, `model:region:replica:stage`, and start near its region; without a
 * region, near the engine's object, which calls them first. A way is made anew at each call. Throws when the binding for a stage is missing.
 * @param replica name of the engine's object, or its id where it has none
 */
export function stageDoors(env: EdgeEnv, replica: string): (stage: number) => StageDoor {
  const locationHint = regionOf(replica) ?? undefined;
  return (stage) => {
    const namespace = env[`STAGE_${stage}`];
    if (!namespace) throw new Error(`The engine Worker has no binding STAGE_${stage}: add one for each stage of the plan.`);
    // The types of an RPC know nothing of objects that are returned for further calls.
    return namespace.get(namespace.idFromName(`${replica}:${stage}`), { locationHint }) as unknown as StageDoor;
  };
}
