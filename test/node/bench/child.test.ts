import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Child } from '../../../bench/engine/child.ts';
import type { Message } from '../../../bench/engine/measurement.ts';

const SCRIPT = new URL('../../support/bench-child.ts', import.meta.url).href;

test('an engine reports its figures before its suite is answered, answers jobs, and ends when it is let go', async () => {
  const messages: Message[] = [];
  const child = await Child.start(SCRIPT, {}, (message) => messages.push(message));
  await child.ask({ name: 'suite' });
  expect(messages).toMatchObject([{ kind: 'measurement', engine: 'small', metric: 'decode', at: 64, samples: [1, 2] }]);
  expect(await child.ask({ name: 'ttft', tokens: 20 })).toBe(20);
  await child.stop();
});

test('a job that fails says why, and the engine can be asked for others', async () => {
  const child = await Child.start(SCRIPT, {}, () => {});
  await expect(child.ask({ name: 'read' })).rejects.toThrow(`${SCRIPT}: only ttft`);
  expect(await child.ask({ name: 'ttft', tokens: 16 })).toBe(16);
  await child.stop();
});

test('a process that ends on its own fails what it was asked for, and whatever it is asked for later', async () => {
  const child = await Child.start(SCRIPT, {}, () => {});
  await expect(child.ask({ name: 'release' })).rejects.toThrow('failed (exit 3)');
  await expect(child.ask({ name: 'ttft', tokens: 16 })).rejects.toThrow('has ended');
  await expect(child.stop()).rejects.toThrow('failed (exit 3)');
});

test('an engine that cannot start is an error', async () => {
  await expect(Child.start(fileURLToPath(SCRIPT), { fails: true }, () => {})).rejects.toThrow('failed (exit 1)');
});
