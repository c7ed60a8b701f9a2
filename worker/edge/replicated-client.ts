import type { EdgeFigures } from '../routing/figures.ts';
import { createFetchEdgeClient } from './http-client.ts';
import type { EdgeAnswer, EdgeClient, EdgeEvent } from './protocol.ts';
import { type ClientPlace, chooseReplica, type Region, type Replica, replicaName } from './replicas.ts';

const MINUTE_MS = 60_000;

/** Where a request says that it comes from; coordinates are texts there. @param cf `request.cf` */
export function clientPlace(cf: object | undefined): ClientPlace {
  const given = cf as { continent?: unknown; latitude?: unknown; longitude?: unknown } | undefined;
  const degrees = (text: unknown) => (typeof text === 'string' && text !== '' ? Number(text) : null);
  const continent = typeof given?.continent === 'string' ? given.continent : null;
  return { continent, latitude: degrees(given?.latitude), longitude: degrees(given?.longitude) };
}

/** Every replica of every region; one without a region where none is given. */
export function replicasOf(regions: readonly Region[], count: number): Replica[] {
  return (regions.length > 0 ? regions : [null]).flatMap((region) =>
    Array.from({ length: count }, (_, index): Replica => ({ region, index, figures: null })),
  );
}

/**
 * The edge model in several places, as one. Each request goes to the replica that should answer soonest, by what they said last to this isolate of the gateway, which
 * is near its clients: where it is, they are. Replicas start near their region, by its location hint.
 */
export function createReplicatedEdgeClient(
  namespace: Pick<DurableObjectNamespace, 'get' | 'idFromName'>,
  { replicas, client, now }: { replicas: Replica[]; client: ClientPlace; now(): number },
): EdgeClient {
  let sent: number[] = [];
  const choose = (): Replica => {
    sent = sent.filter((at) => now() - at < MINUTE_MS);
    return chooseReplica(replicas, client, { now: now(), lastMinute: sent.length });
  };
  // A stub that has failed stays broken, so each call takes a fresh one.
  const clientOf = (replica: Replica): EdgeClient =>
    createFetchEdgeClient((path, init) =>
      namespace
        .get(namespace.idFromName(replicaName(replica)), { locationHint: replica.region ?? undefined })
        .fetch(`https://edge.invalid${path}`, init),
    );
  const saw = (replica: Replica, figures: EdgeFigures | undefined) => {
    if (figures) replica.figures = { values: figures, asOf: now() };
  };
  return {
    async generate(request, signal): Promise<EdgeAnswer> {
      const replica = choose();
      sent.push(now());
      const answer = await clientOf(replica).generate(request, signal);
      if (answer.accepted) return { accepted: true, events: watched(answer.events, (event) => saw(replica, figuresOf(event))) };
      saw(replica, answer.figures);
      return answer;
    },
    async status() {
      const replica = choose();
      const status = await clientOf(replica).status();
      saw(replica, status.figures);
      return status;
    },
  };
}

const figuresOf = (event: EdgeEvent) => (event.type === 'start' || event.type === 'finish' ? event.figures : undefined);

async function* watched(events: AsyncIterable<EdgeEvent>, see: (event: EdgeEvent) => void): AsyncGenerator<EdgeEvent> {
  for await (const event of events) {
    see(event);
    yield event;
  }
}
