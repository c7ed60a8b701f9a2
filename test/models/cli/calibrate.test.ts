import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../../models/cli/main.ts';
import { FolderStorage } from '../../../models/pack/folder-storage.ts';
import { openPack } from '../../../models/pack/reader.ts';
import { makeGguf } from '../../support/make-gguf.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const CLI = fileURLToPath(new URL('../../../models/cli/index.ts', import.meta.url));
const folder = temporaryFolder();
const made = join(folder, 'made.pack');
const file = (name: string) => join(folder, name);

async function models(...args: string[]) {
  const written = { stdout: '', stderr: '' };
  const into = (stream: keyof typeof written) => (text: unknown) => {
    written[stream] += `${text}\n`;
  };
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(into('stdout')),
    vi.spyOn(console, 'error').mockImplementation(into('stderr')),
    vi.spyOn(process.stderr, 'write').mockImplementation(() => true),
  ];
  try {
    return { code: await main(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

function copyOfPack(name: string): string {
  cpSync(made, file(name), { recursive: true });
  return file(name);
}

function written(name: string, text: string): string {
  writeFileSync(file(name), text);
  return file(name);
}

const chat = (content: string, more: object) => JSON.stringify({ messages: [{ role: 'user', content }], ...more });

/** Classification is good, poems are not. */
function labels(name: string, count: number, more: (i: number) => object = (i) => ({ good: i % 2 })): string {
  const lines = Array.from({ length: count }, (_, i) =>
    chat(i % 2 ? `Is this positive or negative? Text ${i}.` : `Write a poem about number ${i}.`, more(i)),
  );
  return written(name, lines.join('\n'));
}

beforeAll(async () => {
  makeGguf(file('tiny.gguf'), 'tiny', 'f32');
  expect((await models('pack', file('tiny.gguf'), made, '--quant', 'f32')).code).toBe(0);
});

describe('calibrate', () => {
  test('puts what labels say into the pack, which stays sound and tells of it', async () => {
    const pack = copyOfPack('written.pack');
    const { code, stdout } = await models('calibrate', pack, labels('labels.jsonl', 240), '--write', '--output', file('calibration.json'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^240 labels, 50\.0 % good/);
    expect(stdout).toMatch(/AUC .*before|before \(prior\)/);
    expect(stdout).toContain('No gate: there are no log-probabilities');
    const { calibration } = (await openPack(new FolderStorage(pack))).manifest;
    expect(calibration).toMatchObject({ calibrated: true, gate: null, evidence: { labels: 'labels.jsonl', rows: 240, good: 120 } });
    expect(calibration!.evidence!.auc.value).toBeGreaterThan(0.95);
    expect(JSON.parse(readFileSync(file('calibration.json'), 'utf8'))).toEqual(calibration);
    expect((await models('verify', pack)).code).toBe(0);
    expect((await models('inspect', pack)).stdout).toContain('240 labels, AUC');
    expect((await models('inspect', made)).stdout).toMatch(/calibration: +none/);
    expect((await models('calibrate', pack, file('labels.jsonl'))).stdout).toContain("before (the pack's calibration)");
  });

  test('lets the model answer, labels by what is expected, and finds a gate', async () => {
    const some = labels('unanswered.jsonl', 8, () => ({ expected: 'no such answer', max_tokens: 3 }));
    expect((await models('calibrate', made, some, '--answer', '--record', file('some.jsonl'))).stderr).toContain(
      'here are 8, 0 good and 8 not',
    );
    const answered = readFileSync(file('some.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answered).toHaveLength(8);
    for (const { answer, logprobs, margins } of answered) {
      expect(answer).toBeTypeOf('string');
      expect(logprobs.length).toBeGreaterThan(0);
      expect(logprobs.length).toBeLessThanOrEqual(3);
      expect(logprobs.every((value: number) => value <= 0)).toBe(true);
      expect(margins).toHaveLength(logprobs.length);
    }
    // What an earlier run has recorded is as good as asking again.
    const known = labels('known.jsonl', 240, (i) => ({
      expected: i % 2 ? 'yes' : 'no',
      answer: 'yes',
      logprobs: [i % 2 ? -0.1 : -3],
      margins: [1],
    }));
    const { stdout } = await models(
      'calibrate',
      made,
      known,
      '--judge',
      labels('others.jsonl', 50, (i) => ({ good: i % 2, answer: 'x', logprobs: [i % 4 === 1 ? -0.1 : -3] })),
      '--target',
      '0.9',
    );
    expect(stdout).toMatch(/Gate: 240 answers, 50\.0 % good; 0 decline/);
    expect(stdout).toMatch(/Chosen: .*: 50\.0 % of answers pass, 100\.0 % of them good/);
    expect(stdout).toContain('On others.jsonl (50 rows)');
    expect(stdout).toContain('The gate lets 26.0 % of answers pass, 100.0 % of them good.');
    expect(stdout).toContain('Nothing was written');
  });

  test('says so when the prompts tell nothing of the answers', async () => {
    const coins = labels('coins.jsonl', 240, (i) => ({ good: Math.floor(i / 2) % 2 }));
    expect((await models('calibrate', made, coins)).stdout).toContain('Warning: what can be seen of these prompts');
    expect((await models('calibrate', made, file('labels.jsonl'))).stdout).not.toContain('Warning');
  });

  test.each([
    ['too few labels', () => [made, labels('few.jsonl', 10)], /at least 200 labels, 50 of them good and 50 not; here are 10/],
    ['rows that need an answer', () => [made, labels('unlabelled.jsonl', 240, () => ({ expected: 'x' }))], /give --answer/],
    ['a line that is no JSON', () => [made, written('bad.jsonl', 'x')], /^bad\.jsonl, line 1: not valid JSON\.$/m],
    ['a file that is not there', () => [made, file('nothing.jsonl')], /nothing\.jsonl cannot be read/],
    ['a target that cannot be', () => [made, file('few.jsonl'), '--target', '1.5'], /--target must be below 1/],
    [
      'a prompt that is too long',
      () => [
        made,
        labels('long.jsonl', 1, () => ({ expected: 'x', messages: [{ role: 'user', content: 'word '.repeat(9000) }] })),
        '--answer',
      ],
      /row 1 has \d+ tokens/,
    ],
  ])('refuses %s', async (_, args, message) => {
    const { code, stderr } = await models('calibrate', ...args());
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  test('stops cleanly when interrupted', async () => {
    const pack = copyOfPack('interrupted.pack');
    const before = readFileSync(join(pack, 'manifest.json'), 'utf8');
    const slow = labels('slow.jsonl', 4000, () => ({ expected: 'x', max_tokens: 50 }));
    const child = spawn(process.execPath, [CLI, 'calibrate', pack, slow, '--answer', '--write', '--record', file('never.jsonl')]);
    let stderr = '';
    child.stderr.once('data', () => child.kill('SIGINT'));
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    const [code] = await once(child, 'exit');
    expect(code).toBe(1);
    expect(stderr).toContain('Interrupted; the pack is as it was.');
    expect(readFileSync(join(pack, 'manifest.json'), 'utf8')).toBe(before);
    expect(existsSync(file('never.jsonl'))).toBe(false);
  });
});
