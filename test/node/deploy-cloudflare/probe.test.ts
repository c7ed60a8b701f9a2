import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startLocalProbe } from '../../../scripts/deploy/probe/local.ts';
import { type Ask, describeFigures, measure } from '../../../scripts/deploy/probe/measure.ts';
import { buildProbe, probeConfigs } from '../../../scripts/deploy/probe/run.ts';
import { simulateAccount } from '../../support/simulated-account.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

it('measures a local workerd', { timeout: 180_000 }, async () => {
  const { ask, stop } = await startLocalProbe(await buildProbe(temporaryFolder()));
  try {
    const figures = await measure(ask, 'local', { mostMb: 48, hops: 3 });
    expect(figures.isolates).toMatchObject({ objects: 6, ofOneScript: 1, scriptsShare: false });
    expect(figures.compute.relaxed).toBeGreaterThan(0);
    expect(figures.compute.simd).toBeGreaterThan(0);
    expect(figures.memory).toEqual({ alone: 48, reached: false, both: 48 });
    expect(figures.r2!.aloneMbPerSecond).toBeGreaterThan(0);
    const table = describeFigures(figures, 'here').join('\n');
    expect(table).toContain('share no isolate');
    expect(table).toContain('no limit up to 48 MB');
  } finally {
    await stop();
  }
});

it('finds where an object ends for want of memory, and says which build is missing', async () => {
  let held = 0;
  const answers: Record<string, (query: Record<string, string | number>) => unknown> = {
    isolates: () => ({ a: [{ isolate: '1', colo: 'FRA' }], b: [{ isolate: '1', colo: 'AMS' }] }),
    hops: () => [3, 1, 2],
    compute: ({ build }) => {
      if (build === 'relaxed') throw new Error('no such module');
      return { multiplications: 1e9, ms: 500 };
    },
    hold: ({ megabytes }) => {
      held += Number(megabytes);
      if (held > 112) throw new Error('exceeded its memory limit');
      return held;
    },
    release: () => {
      held = 0;
      return null;
    },
    r2: () => null,
  };
  const ask = (async (test: string, query = {}) => answers[test]!(query)) as Ask;
  const figures = await measure(ask, 'r', { mostMb: 256, hops: 3 });
  expect(figures.memory).toMatchObject({ alone: 112, reached: true });
  const table = describeFigures(figures, 'there').join('\n');
  for (const part of ['share isolates', 'not there (no such module)', '2.0 G', '112 MB, then it ended', 'FRA, AMS', 'no bucket'])
    expect(table).toContain(part);
});

it('deploys its Workers in an order in which each finds the ones it refers to', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'bundle'));
  writeFileSync(join(folder, 'bundle/worker.js'), '');
  const account = simulateAccount();
  for (const config of probeConfigs(null)) {
    mkdirSync(join(folder, config.name!));
    writeFileSync(join(folder, config.name!, 'wrangler.json'), JSON.stringify(config));
    await account.deployScript(join(folder, config.name!, 'wrangler.json'), {});
  }
  expect([...account.scripts.keys()].at(-1)).toBe('nearside-probe');
});
