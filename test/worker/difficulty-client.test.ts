import { expect, it } from 'vitest';
import { createDifficultyClient } from '../../worker/difficulty/client.ts';

const prediction = { weakFails: 0.25, strongHelps: 0.125 };
const user = (content: string) => [{ role: 'user' as const, content }];

/** A client of a Worker that answers so, a clock, and what the Worker was asked. */
function setUp(answer: () => Response | Promise<Response>) {
  const asked: string[] = [];
  const clock = { now: 0 };
  const worker = {
    fetch: async (_: unknown, init?: RequestInit) => {
      asked.push(String(init?.body));
      return answer();
    },
  };
  return { difficultyOf: createDifficultyClient(worker as Pick<Fetcher, 'fetch'>, 50, () => clock.now), asked, clock };
}

it('asks about the last turn of the user, the end of a long one', async () => {
  const { difficultyOf, asked } = setUp(() => Response.json(prediction));
  const messages = [...user('Hi'), { role: 'assistant' as const, content: 'Hello' }, ...user('Is it raining?')];
  expect(await difficultyOf(messages)).toEqual(prediction);
  expect(
    await difficultyOf([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'One' },
          { type: 'text', text: 'Two' },
        ],
      },
    ]),
  ).toEqual(prediction);
  await difficultyOf(user(`${'x'.repeat(10_000_000)}end`));
  expect(asked.slice(0, 2)).toEqual(['Is it raining?', 'One\nTwo']);
  expect(asked[2]).toHaveLength(4096);
  expect(asked[2]).toMatch(/xend$/);
});

it('asks nothing where there is no text', async () => {
  const { difficultyOf, asked } = setUp(() => Response.json(prediction));
  expect(await difficultyOf([{ role: 'user', content: [{ type: 'image_url' }] }])).toBe(null);
  expect(asked).toEqual([]);
});

it.each<[string, () => Response | Promise<Response>]>([
  ['has not loaded its model', () => Response.json(null)],
  ['is not there', () => Promise.reject(new Error('no such service'))],
  ['fails', () => new Response('Internal error', { status: 500 })],
  ['answers nonsense', () => Response.json({ weakFails: 7, strongHelps: 'much' })],
  ['does not answer in time', () => new Promise(() => {})],
])('goes on without a Worker that %s, and does not ask it again at once', async (_, answer) => {
  const { difficultyOf, asked, clock } = setUp(answer);
  expect(await difficultyOf(user('Hi'))).toBe(null);
  expect(await difficultyOf(user('Hi'))).toBe(null);
  expect(asked).toHaveLength(1);
  clock.now = 2000;
  await difficultyOf(user('Hi'));
  expect(asked).toHaveLength(2);
});
