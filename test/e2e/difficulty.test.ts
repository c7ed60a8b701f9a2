import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { unstable_startWorker } from 'wrangler';

/**
 * The difficulty model in workerd as wrangler bundles it: 14 MB of onnxruntime-web, which the Vitest plugin would need many seconds to hand over.
 */
interface Answer {
  predictions: ({ weakFails: number; strongHelps: number } | null)[];
  failures: string[];
  webAssemblyIntact: boolean;
}

const cases = JSON.parse(readFileSync(new URL('../fixtures/difficulty.json', import.meta.url), 'utf8')) as {
  text: string;
  probabilities: number[];
}[];

let worker: Awaited<ReturnType<typeof unstable_startWorker>>;

beforeAll(async () => {
  worker = await unstable_startWorker({
    config: fileURLToPath(new URL('../difficulty/wrangler.toml', import.meta.url)),
    dev: { server: { port: 0 }, inspector: false, watch: false, logLevel: 'error' },
  });
  await worker.ready;
});

afterAll(() => worker?.dispose());

async function predict(texts: string[], query = ''): Promise<Answer> {
  const response = await worker.fetch(`http://difficulty/${query}`, { method: 'POST', body: JSON.stringify(texts) });
  return (await response.json()) as Answer;
}

it('answers null for a model that is broken, and others are not affected', async () => {
  const broken = await predict(['Hi'], '?model=corrupt');
  expect(broken.predictions).toEqual([null]);
  expect(broken.failures).toHaveLength(1);
  expect(broken.failures[0]).toContain('The difficulty model is not used for now');
  expect((await predict(['Hi'])).predictions[0]).not.toBeNull();
});

it('gives the probabilities that onnxruntime for Python gives for the same texts', async () => {
  const { predictions, failures, webAssemblyIntact } = await predict(cases.map(({ text }) => text));
  expect(failures).toEqual([]);
  expect(webAssemblyIntact).toBe(true);
  cases.forEach(({ text, probabilities }, i) => {
    expect(predictions[i]?.weakFails, text).toBeCloseTo(probabilities[0]!, 4);
    expect(predictions[i]?.strongHelps, text).toBeCloseTo(probabilities[1]!, 4);
  });
});

it('finds mathematics harder than a plain question of fact', async () => {
  const { predictions } = await predict([
    'What is the capital of France?',
    'If 3x + 7 = 4(x - 2) and y = x^2 mod 11, find the value of y.',
  ]);
  expect(predictions[1]!.weakFails).toBeGreaterThan(predictions[0]!.weakFails + 0.1);
});

it('answers the gateway: nothing while it loads, then at once', async () => {
  const own = await unstable_startWorker({
    config: fileURLToPath(new URL('../../worker/difficulty/wrangler.toml', import.meta.url)),
    dev: { server: { port: 0 }, inspector: false, watch: false, logLevel: 'error' },
  });
  try {
    await own.ready;
    const ask = async () => (await own.fetch('http://difficulty/', { method: 'POST', body: cases[0]!.text })).json() as Promise<unknown>;
    expect(await ask()).toBe(null);
    let answer: unknown = null;
    for (let i = 0; i < 100 && answer === null; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      answer = await ask();
    }
    expect(answer).toEqual({
      weakFails: expect.closeTo(cases[0]!.probabilities[0]!, 4),
      strongHelps: expect.closeTo(cases[0]!.probabilities[1]!, 4),
    });
  } finally {
    await own.dispose();
  }
});
