import { expect, it } from 'vitest';
import { RunningSteps } from '../../wasm/engine/pipeline/running-steps.ts';

const batch = (...sessions: string[]) => sessions.map((session) => ({ session, position: 0, hidden: new Float32Array(4) }));

/** Steps that go on until they are stopped, or `end` is called. */
function endless() {
  const steps = new RunningSteps();
  const ends: (() => void)[] = [];
  const run = (...sessions: string[]) =>
    steps.run(batch(...sessions), (signal) => {
      signal.throwIfAborted();
      return new Promise<string>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        ends.push(() => resolve('whole'));
      });
    });
  const end = () => {
    for (const each of ends) each();
  };
  return { steps, run, end };
}

it('stops the steps that run for none but these sessions', async () => {
  const { steps, run, end } = endless();
  const [alone, shared, other] = [run('a'), run('a', 'b'), run('c')];
  const stopped = expect(alone).rejects.toMatchObject({ name: 'StageError', code: 'cancelled' });
  steps.cancel(['a']);
  await stopped;
  const both = expect(shared).rejects.toMatchObject({ code: 'cancelled' });
  steps.cancel(['a', 'b']);
  await both;
  end();
  expect(await other).toBe('whole');
});

it('does nothing to a later step of a session when it comes too late', async () => {
  const { steps, run, end } = endless();
  const first = run('a');
  end();
  expect(await first).toBe('whole');
  steps.cancel(['a']);
  const next = run('a');
  end();
  expect(await next).toBe('whole');
});

it('begins a step anew after one that was stopped', async () => {
  const { steps, run, end } = endless();
  const stopped = expect(run('a')).rejects.toMatchObject({ code: 'cancelled' });
  steps.cancel(['a']);
  await stopped;
  const next = run('b');
  end();
  expect(await next).toBe('whole');
});
