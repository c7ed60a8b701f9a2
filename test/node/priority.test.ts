import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const module = fileURLToPath(new URL('../../scripts/edge-node/priority.ts', import.meta.url));

/** In a process of its own, which says what it was told and how it is scheduled then: nothing can be taken back. */
function standBack(...args: unknown[]): { said: string; nice: number; policies: number[] } {
  const script = `
    const { standBack } = await import(${JSON.stringify(module)});
    const { readFileSync, readdirSync } = await import('node:fs');
    const said = standBack(...${JSON.stringify(args)});
    const policy = (task) => Number(readFileSync('/proc/self/task/' + task + '/stat', 'utf8').split(') ').at(-1).split(' ')[38]);
    const policies = process.platform === 'linux' ? readdirSync('/proc/self/task').map(policy) : [];
    console.log(JSON.stringify({ said, nice: (await import('node:os')).getPriority(), policies }));`;
  return JSON.parse(spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout);
}

const SCHED_IDLE = 5;

it.runIf(process.platform === 'linux')('gives the processor to whoever wakes up, with all its threads', () => {
  const { said, policies } = standBack('idle');
  expect(said).toBe('idle');
  expect(new Set(policies)).toEqual(new Set([SCHED_IDLE]));
});

it('stands back by a weight where that cannot be had, and says why', () => {
  const { said, nice } = standBack('idle', 'no-such-program');
  expect(said).toMatch(/^nice 10 \(.*\)$/);
  expect(nice).toBe(10);
});

it('stands back as far as it is told', () => {
  expect(standBack(7)).toMatchObject({ said: 'nice 7', nice: 7 });
});
