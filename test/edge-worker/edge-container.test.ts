import { env, runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { EdgeContainer } from '../../worker/edge/container/edge-container.ts';
import type { EdgeStatus } from '../../worker/edge/protocol.ts';

const STATUS = { model: 'tiny', state: 'ready', error: null, running: 1, queued: 0, memory: null, figures: { warm: true, loadMs: 5 } };

/** What the platform was asked for. */
interface Seen {
  /** Requests that start the container, and keep it awake. */
  waking: Request[];
  /** Requests that do neither. */
  quiet: Request[];
}

interface Tried extends Seen {
  object: EdgeContainer;
  platform: { running: boolean };
  /** Another object over the same storage, as after an eviction, its container stopped. */
  again(settings?: Record<string, string>): Promise<EdgeContainer>;
}

/** Nothing here runs containers: what the platform does is played, what the object makes of it is real, its storage too. */
async function tried(settings: Record<string, string>, work: (tried: Tried) => Promise<void>): Promise<void> {
  await runInDurableObject(env.EDGE_MODEL.getByName(crypto.randomUUID()), async (_, state) => {
    const seen: Seen = { waking: [], quiet: [] };
    const answer = async (requests: Request[], request: Request) => {
      requests.push(request);
      return Response.json(STATUS);
    };
    const platform = {
      running: false,
      monitor: () => new Promise(() => {}),
      getTcpPort: () => ({ fetch: (request: Request) => answer(seen.quiet, request) }),
    };
    Object.defineProperty(state, 'container', { value: platform });
    class Played extends EdgeContainer {
      override async scheduleNextAlarm(): Promise<void> {}
      override async containerFetch(request: unknown): Promise<Response> {
        platform.running = true;
        return answer(seen.waking, request as Request);
      }
    }
    const again = async (changes = settings) => {
      platform.running = false;
      const object = new Played(state as never, changes as never);
      await state.blockConcurrencyWhile(async () => {});
      return object;
    };
    await work({ ...seen, platform, object: await again(), again });
  });
}

const ask = (object: EdgeContainer, path: string) => object.fetch(new Request(`http://edge.internal${path}`));
const statusOf = async (object: EdgeContainer) => (await (await ask(object, '/status')).json()) as EdgeStatus;
const keyOf = (request: Request) => request.headers.get('authorization');

describe('a replica in a container', () => {
  it('starts it for the first who asks how it is, and for nobody who asks later', () =>
    tried({}, async ({ object, platform, waking, quiet }) => {
      expect(await statusOf(object)).toMatchObject({ state: 'ready', model: 'tiny' });
      expect([waking.length, quiet.length]).toEqual([1, 0]);
      expect(await statusOf(object)).toMatchObject({ state: 'ready' });
      expect([waking.length, quiet.length]).toEqual([1, 1]);
      platform.running = false;
      expect(await statusOf(object)).toMatchObject({ state: 'cold', model: 'tiny', running: 0, figures: { warm: false, loadMs: 5 } });
      expect([waking.length, quiet.length]).toEqual([1, 1]);
    }));

  it('starts it for whoever wants an answer', () =>
    tried({}, async ({ object, platform, waking }) => {
      await statusOf(object);
      platform.running = false;
      await ask(object, '/generate');
      expect(new URL(waking.at(-1)!.url).pathname).toBe('/generate');
      expect(platform.running).toBe(true);
    }));

  it('has a key that only it and its container know, also after it was evicted', () =>
    tried({}, async ({ object, again, waking }) => {
      await ask(object, '/generate');
      expect(keyOf(waking[0]!)).toMatch(/^Bearer [0-9a-f-]{36}$/);
      expect(`Bearer ${object.envVars!.NEARSIDE_EDGE_KEY}`).toBe(keyOf(waking[0]!));
      await ask(await again(), '/generate');
      expect(keyOf(waking[1]!)).toBe(keyOf(waking[0]!));
    }));

  it("gives the engine's settings to it, and keeps those of where it is", () =>
    tried(
      { NEARSIDE_EDGE_SESSIONS: '3', NEARSIDE_EDGE_PACK: 'packs/tiny', NEARSIDE_EDGE_SLEEP_AFTER: '5m', OTHER: 'secret' },
      async ({ object, again }) => {
        await ask(object, '/generate');
        expect(Object.keys(object.envVars!).sort()).toEqual(['NEARSIDE_EDGE_KEY', 'NEARSIDE_EDGE_SESSIONS']);
        expect(object.sleepAfter).toBe('5m');
        expect((await again({})).sleepAfter).toBe('60s');
      },
    ));
});
