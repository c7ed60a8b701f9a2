import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ModelConfig } from '../../../models/config.ts';
import { packModel } from '../../../models/pack/pack-model.ts';
import { folderFiles, type HubServer, startHub } from '../../support/hub-server.ts';
import { CONFIGS } from '../../support/models.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { writeCheckpoint } from '../../support/write-checkpoint.ts';

const CLI = fileURLToPath(new URL('../../../models/cli/index.ts', import.meta.url));
/** 47 MB of weights: six ranges of the eight megabytes that the command fetches at a time. */
const CONFIG: ModelConfig = { ...CONFIGS.tied, vocabSize: 60_000, hiddenSize: 256, intermediateSize: 2048 };

const folder = temporaryFolder();
const model = join(folder, 'model');
const expected = join(folder, 'expected');
let hub: HubServer;

beforeAll(async () => {
  writeCheckpoint(model, CONFIG, 3_000_000);
  await packModel(model, expected, { quantization: 'q4_0' });
  hub = await startHub({ name: 'org/model', files: folderFiles(model) });
});
afterAll(() => hub.close());

function pull(out: string): { child: ChildProcess; ended: Promise<{ code: number | null; stderr: string }> } {
  const child = spawn(process.execPath, [CLI, 'pull', 'org/model', out, '--connections', '2'], {
    env: { ...process.env, HF_ENDPOINT: hub.endpoint },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr!.on('data', (data) => (stderr += data));
  return { child, ended: new Promise((done) => child.once('close', (code) => done({ code, stderr }))) };
}

/** Runs the command until it has been sent `bytes` of content, and sends it a signal there. */
async function stopAt(out: string, bytes: number, signal: NodeJS.Signals): Promise<{ code: number | null; stderr: string }> {
  const before = hub.sent;
  const { child, ended } = pull(out);
  const watch = setInterval(() => {
    if (hub.sent - before < bytes) return;
    child.kill(signal);
    clearInterval(watch);
  }, 1);
  return ended.finally(() => clearInterval(watch));
}

const files = (pack: string) =>
  readdirSync(pack)
    .filter((name) => name !== 'manifest.json')
    .sort()
    .map((name) => [name, readFileSync(join(pack, name)).toString('base64')]);

test('killed again and again, at the head and between records, it goes on and ends with the same pack', async () => {
  const out = join(folder, 'killed');
  // Sent is not yet taken in: three ranges, 25 MB, may be on their way, and progress is recorded every 8 MB.
  for (const bytes of [1, 9_000_000, 40_000_000, 3_000_000]) {
    expect(await stopAt(out, bytes, 'SIGKILL')).toMatchObject({ code: null });
    expect(existsSync(out)).toBe(false);
    expect(existsSync(join(`${out}.partial`, 'pack', 'manifest.json'))).toBe(false);
  }
  const before = hub.sent;
  const { code, stderr } = await pull(out).ended;
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Going on at \d+\.\d of \d+\.\d MB\.\n/) });
  expect(hub.sent - before).toBeLessThan(statSync(join(model, 'model.safetensors')).size - 8_000_000);
  expect(files(out)).toEqual(files(expected));
  expect(existsSync(`${out}.partial`)).toBe(false);
});

test('Ctrl-C says that the same command goes on', async () => {
  const out = join(folder, 'interrupted');
  expect(await stopAt(out, 2_000_000, 'SIGINT')).toEqual({ code: 1, stderr: 'Interrupted; the same command goes on from here.\n' });
  expect(existsSync(out)).toBe(false);
});
