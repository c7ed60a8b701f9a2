import type { Course } from './attempt.ts';
import { beginning, Clock } from './clock.ts';
import { EdgeReplica } from './edge-replica.ts';
import { SimGateway, type World } from './gateway.ts';
import { GpuPool } from './gpu-pool.ts';
import type { SimRequest } from './request.ts';
import type { Router } from './routers.ts';
import { edgePriceOf, type Scenario } from './scenario.ts';

/** What one run came to. */
export interface RunResult {
  /** One for each request, in the order of their ends. */
  courses: Course[];
  /** What the bill would say: of the edge by what its place bills, of the GPUs for all the time that they are on. */
  usd: { edge: number; origin: number };
  /** Starts of nodes, and loads of the edge model. */
  starts: number;
  loads: number;
}

/** Plays the requests against edge, pool and gateways. Deterministic. */
export async function simulate(scenario: Scenario, requests: SimRequest[], router: Router): Promise<RunResult> {
  const clock = new Clock();
  const lastsMs = requests.at(-1)?.at ?? 0;
  const replicas = Array.from({ length: scenario.edge.replicas }, () => new EdgeReplica(clock, scenario.edge));
  const pool = new GpuPool(clock, scenario.origin, lastsMs);
  const world: World = { clock, scenario, replicas, pool, router };
  const gateways = Array.from({ length: scenario.isolates }, () => new SimGateway(world));
  const courses: Course[] = [];
  requests.forEach((request, index) => {
    const gateway = gateways[index % gateways.length]!;
    clock.at(beginning + request.at, () => gateway.handle(request, index, (course) => courses.push(course)));
  });
  while (clock.next()) {
    // Admission settles promises: whoever was let in begins before time goes on.
    while (replicas.some(({ unsettled }) => unsettled)) await null;
  }
  return {
    courses,
    usd: bill(scenario, world, beginning + lastsMs),
    starts: pool.starts,
    loads: replicas.reduce((sum, { loads }) => sum + loads, 0),
  };
}

function bill(scenario: Scenario, { replicas, pool }: World, endsAt: number): RunResult['usd'] {
  const price = edgePriceOf(scenario.edge);
  const edge = replicas.reduce((sum, { busyMs, presentMs, requests }) => {
    if (price.by === 'cpu') return sum + busyMs * price.usdPerCpuMs + requests * price.usdPerRequest;
    // Requests at once share the object.
    if (price.by === 'duration')
      return sum + (presentMs / 1000) * price.usdPerGbSecond * price.gb * price.objects + requests * price.usdPerRequest;
    if (price.by === 'vcpu')
      return (
        sum +
        (busyMs * price.usdPerVcpuSecond * price.vcpus + presentMs * price.usdPerGibSecond * price.gib) / 1000 +
        requests * price.usdPerRequest
      );
    return sum + (busyMs * price.usdPerHour) / 3_600_000;
  }, 0);
  return { edge, origin: (pool.paidMs(endsAt) * scenario.origin.usdPerHour) / 3_600_000 };
}
