import { expect, it } from 'vitest';
import type { Observation } from '../../../worker/origin/endpoint.ts';
import type { SnapshotRequest } from '../../../worker/origin/monitor.ts';
import { Pool } from '../../../worker/origin/pool.ts';
import { watchPools } from '../../../worker/origin/watch.ts';
import { endpointConfig } from './endpoint-config.ts';

const timeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
const poolOf = (model: string, names: string[]) =>
  new Pool({ model, endpoints: names.map((name) => endpointConfig(name)), fallback: [], timeouts, retries: 2, hedging: true }, null);

/** A gateway in a region, watching pools through a monitor that answers so. */
function watched(region: string | null, answer: () => Promise<Response>) {
  const asked: { name: string; hint: string | undefined; request: SnapshotRequest }[] = [];
  const work: Promise<unknown>[] = [];
  const namespace = {
    idFromName: (name: string) => name,
    get: (name: string, { locationHint: hint }: DurableObjectNamespaceGetDurableObjectOptions) => ({
      fetch: async (_: string, { body }: RequestInit) => {
        asked.push({ name, hint, request: JSON.parse(body as string) as SnapshotRequest });
        return answer();
      },
    }),
  } as unknown as DurableObjectNamespace;
  const watch = watchPools(namespace, region, 60_000, (promise) => void work.push(promise));
  return { watch, asked, done: () => Promise.all(work) };
}

const seen: Observation = { at: Date.now(), alive: true, waiting: 3, running: 1, kvUse: 0.5, ttftMs: null };

it.each<[string | null, string, string | undefined]>([
  ['eu', 'origins:eu', 'weur'],
  ['na', 'origins:na', 'enam'],
  ['my-data-centre', 'origins:my-data-centre', undefined],
  [null, 'origins:any', undefined],
])('asks the monitor of its region, near it: %s', async (region, name, hint) => {
  const { watch, asked, done } = watched(region, async () => Response.json({}));
  watch([poolOf('m', ['a'])]);
  await done();
  expect(asked).toMatchObject([{ name, hint }]);
});

it('brings what the monitor sees into the endpoints, each server asked for once', async () => {
  const { watch, asked, done } = watched('eu', async () => Response.json({ 'http://a/v1': seen }));
  const pools = [poolOf('m', ['a', 'b']), poolOf('n', ['a'])];
  watch(pools);
  await done();
  expect(asked[0]!.request.targets.map(({ url }) => url)).toEqual(['http://a/v1', 'http://b/v1']);
  expect(pools.flatMap(({ endpoints }) => endpoints.map((endpoint) => endpoint.seen))).toEqual([seen, null, seen]);
});

it('asks once in a while, however many requests there are, and not without pools', async () => {
  const { watch, asked, done } = watched('eu', async () => Response.json({}));
  watch([]);
  for (let i = 0; i < 5; i++) watch([poolOf('m', ['a'])]);
  await done();
  expect(asked).toHaveLength(1);
});

it('goes on with what it knows when the monitor fails', async () => {
  const { watch, done } = watched('eu', async () => {
    throw new Error('gone');
  });
  const pool = poolOf('m', ['a']);
  pool.endpoints[0]!.observe(seen);
  watch([pool]);
  await done();
  expect(pool.endpoints[0]!.seen).toEqual(seen);
});
