import { expect, it } from 'vitest';
import type { EdgeRequest } from '../../worker/edge/protocol.ts';
import { clientPlace, createReplicatedEdgeClient, replicasOf } from '../../worker/edge/replicated-client.ts';
import type { EdgeFigures } from '../../worker/routing/figures.ts';

/** Objects that refuse, with figures by their name, which is enough to be chosen by. */
function replicasThatSay(figures: (name: string) => EdgeFigures) {
  const asked: { name: string; hint: string | undefined }[] = [];
  const namespace = {
    idFromName: (name: string) => name,
    get: (name: string, { locationHint: hint }: { locationHint?: string } = {}) => ({
      fetch: async () => {
        asked.push({ name, hint });
        return Response.json(
          { refused: 'queue_full', message: 'full', promptTokens: null, retryAfter: 1, figures: figures(name) },
          { status: 503 },
        );
      },
    }),
  } as unknown as DurableObjectNamespace;
  return { asked, namespace };
}

it('goes to the nearest replica at first, elsewhere when that is full, and back when it has forgotten', async () => {
  const full = { warm: true, running: 4, queued: 20, slots: 4, serviceMs: 2000 };
  const { asked, namespace } = replicasThatSay((name) => (name.includes('weur') ? full : { warm: true, running: 0, queued: 0, slots: 4 }));
  let now = 1e6;
  const place = { continent: 'EU', latitude: 50, longitude: 8 };
  const client = createReplicatedEdgeClient(namespace, { replicas: replicasOf(['enam', 'weur'], 1), client: place, now: () => now });
  const ask = () => client.generate({} as EdgeRequest, new AbortController().signal);
  await ask();
  await ask();
  now += 120_000;
  await ask();
  expect(asked).toEqual([
    { name: 'default:weur:0', hint: 'weur' },
    { name: 'default:enam:0', hint: 'enam' },
    { name: 'default:weur:0', hint: 'weur' },
  ]);
});

it('is the one object of today where nothing is set', async () => {
  const { asked, namespace } = replicasThatSay(() => ({}));
  const place = { continent: null, latitude: null, longitude: null };
  const client = createReplicatedEdgeClient(namespace, { replicas: replicasOf([], 1), client: place, now: () => 1 });
  await client.generate({} as EdgeRequest, new AbortController().signal);
  expect(asked).toEqual([{ name: 'default:any:0', hint: undefined }]);
});

it('knows where requests come from as far as they say', () => {
  expect(clientPlace({ continent: 'EU', latitude: '50.1', longitude: '8.7' })).toEqual({ continent: 'EU', latitude: 50.1, longitude: 8.7 });
  expect(clientPlace({ continent: 'EU' })).toEqual({ continent: 'EU', latitude: null, longitude: null });
  expect(clientPlace(undefined)).toEqual({ continent: null, latitude: null, longitude: null });
});
