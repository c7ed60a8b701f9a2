import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

const runner = fileURLToPath(new URL('../../scripts/dev/wrangler.ts', import.meta.url));

/** A wrangler with a child that complains when it loses it, as esbuild does now and then: it cannot be had to on command. */
const wrangler = `
const { spawn } = require('node:child_process');
const child = "process.stdin.resume().on('end', () => { process.stderr.write('fatal error: all goroutines are asleep\\\\n'); setTimeout(() => {}, 60_000); });";
const builder = spawn(process.execPath, ['-e', child], { stdio: ['pipe', 'ignore', 'inherit'] });
process.stderr.write('a warning\\n');
process.stdout.write('ready\\n');
process.on('SIGINT', () => { builder.stdin.end(); setTimeout(() => process.exit(0), 500); });
if (process.argv.includes('crash')) setTimeout(() => { process.stderr.write('it broke\\n'); process.exit(3); }, 100);
`;

const home = temporaryFolder();
let started = 0;

async function start(...args: string[]) {
  const folder = join(home, String(started++));
  await mkdir(join(folder, 'node_modules/wrangler/bin'), { recursive: true });
  await writeFile(join(folder, 'node_modules/wrangler/bin/wrangler.js'), wrangler);
  const call = `import { runWrangler } from ${JSON.stringify(runner)}; process.exitCode = await runWrangler(${JSON.stringify(folder)}, ${JSON.stringify(args)});`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', call], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  const ready = once(child.stdout, 'data');
  child.stdout.on('data', (chunk) => {
    said.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said.err += chunk;
  });
  const closed = once(child, 'close');
  return { child, said, ready, closed };
}

it('stops without a word of what wrangler leaves behind', async () => {
  const { child, said, ready, closed } = await start();
  await ready;
  child.kill('SIGINT');
  expect(await closed).toEqual([0, null]);
  expect(said).toEqual({ out: 'ready\n', err: 'a warning\n' });
});

it('shows what wrangler says before it breaks off by itself, and its exit code', async () => {
  const { said, closed } = await start('crash');
  expect(await closed).toEqual([3, null]);
  expect(said.err).toContain('a warning\nit broke\n');
});
