import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../../models/cli/main.ts';
import { GOLDEN_MODEL, readGolden } from '../../support/golden.ts';
import { makeGguf } from '../../support/make-gguf.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const CLI = fileURLToPath(new URL('../../../models/cli/index.ts', import.meta.url));
const folder = temporaryFolder();
const golden = join(folder, 'golden.pack');
const chat = join(folder, 'chat.pack');

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command line as a user does. */
function spawned(...args: string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', maxBuffer: 1e8 });
  return { code: status, stdout, stderr };
}

/** The same in this process: starting Node two dozen times takes longer than everything it would do. */
async function models(...args: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const into = (stream: keyof typeof written, end: string) => (text: unknown) => {
    written[stream] += `${text}${end}`;
    return true;
  };
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(into('stdout', '\n')),
    vi.spyOn(console, 'error').mockImplementation(into('stderr', '\n')),
    vi.spyOn(process.stdout, 'write').mockImplementation(into('stdout', '')),
    vi.spyOn(process.stderr, 'write').mockImplementation(into('stderr', '')),
  ];
  try {
    return { code: await main(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

beforeAll(async () => {
  makeGguf(join(folder, 'chat.gguf'), 'tiny', 'f32');
  expect(spawned('pack', GOLDEN_MODEL, golden, '--quant', 'f32', '--name', 'gold', '--fixture')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('gold, f32, 6.5 MB in 10 files'),
    stderr: 'Warning: The source has no tokenizer, so the pack takes and gives token ids only.\n',
  });
  expect(await models('pack', join(folder, 'chat.gguf'), chat, '--quant', 'f32')).toMatchObject({ code: 0, stderr: '' });
});

describe('help', () => {
  test('lists every command, and every command has its own', async () => {
    const { code, stdout } = await models('--help');
    expect(code).toBe(0);
    for (const name of ['pack', 'inspect', 'verify', 'logits', 'tokenize', 'generate']) {
      expect(stdout).toContain(`  ${name} `);
      expect(await models(name, '--help')).toMatchObject({ code: 0, stdout: expect.stringContaining(`models -- ${name} `), stderr: '' });
    }
  });
});

describe('what works', () => {
  test('inspect says what the pack is', async () => {
    const { stdout } = await models('inspect', golden, '--tensors');
    expect(stdout).toMatch(/name: +gold \(fixture: random weights\)/);
    expect(stdout).toMatch(/8 layers \(2 full, 6 linear attention\)/);
    expect(stdout).toMatch(/layers\.3\.q_proj +f32 +512 x 128 +layer-03\.bin\+\d+/);
  });

  test('verify passes a sound pack', async () => {
    expect(await models('verify', golden)).toMatchObject({ code: 0, stdout: expect.stringContaining('is sound'), stderr: '' });
  });

  test('logits prints one JSON array and nothing else, without a tokenizer', async () => {
    const { ids, logits } = readGolden().prompts[1]!;
    const { code, stdout, stderr } = spawned('logits', golden, '--ids', ids.join(','));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const rows = JSON.parse(stdout) as number[][];
    expect(rows.map((row) => row.length)).toEqual(ids.map(() => 512));
    const worst = Math.max(...rows.flatMap((row, i) => row.map((value, j) => Math.abs(value - logits[i]![j]!))));
    expect(worst).toBeLessThan(2e-4);
  });

  test('tokenize prints ids, or the pieces that make up the text', async () => {
    const ids = JSON.parse((await models('tokenize', chat, 'Hello there')).stdout) as number[];
    expect(ids.length).toBeGreaterThan(1);
    const pieces = (await models('tokenize', chat, 'Hello there', '--pieces')).stdout.trimEnd().split('\n');
    expect(pieces.map((line) => JSON.parse(line.slice(8)) as string).join('')).toBe('Hello there');
  });

  test('generate answers, the same for the same seed', async () => {
    const run = (...args: string[]) => models('generate', chat, 'Hello', '--max-tokens', '12', ...args);
    const first = await run('--seed', '5');
    expect(first).toMatchObject({ code: 0, stderr: expect.stringMatching(/^\d+ \+ 12 tokens in [\d.]+ s, ended by length\.\n$/) });
    expect(first.stdout.trim().length).toBeGreaterThan(0);
    expect((await run('--seed', '5')).stdout).toBe(first.stdout);
    expect((await run('--seed', '6')).stdout).not.toBe(first.stdout);
    expect((await run('--raw')).stderr).not.toContain(first.stderr.split(' ')[0]);
  });
});

describe('mistakes end with code 1 and one sentence', () => {
  test.each<[string, string[], RegExp]>([
    ['an unknown command', ['frobnicate'], /^There is no command "frobnicate"; the commands are pack, /],
    ['an unknown option', ['verify', golden, '--fast'], /^Unknown option '--fast'/],
    ['too few arguments', ['pack', GOLDEN_MODEL], /^Expected SOURCE OUT and got 1 argument/],
    ['a source that is not there', ['pack', join(folder, 'none'), join(folder, 'x')], /none does not exist\.$/],
    [
      'an unknown quantization',
      ['pack', GOLDEN_MODEL, join(folder, 'x'), '--quant', 'q2'],
      /^--quant must be one of f32, q8_0, q4_0, and "q2" is not\.$/,
    ],
    [
      'a calibration text that is not there',
      ['pack', GOLDEN_MODEL, join(folder, 'x'), '--calibrate', join(folder, 'nothing.txt')],
      /^The text .*nothing\.txt cannot be read: give --calibrate another file, or none\.$/,
    ],
    ['a pack where one is already', ['pack', GOLDEN_MODEL, golden], /exists already/],
    ['a folder that is no pack', ['inspect', GOLDEN_MODEL], /is not a pack: it has no manifest\.json\.$/],
    ['no ids', ['logits', golden], /^--ids is missing/],
    ['a value that looks like an option', ['logits', golden, '--ids', '-1'], /^Option '--ids' argument is ambiguous; see --help\.$/],
    ['an id that is none', ['logits', golden, '--ids', '1,512'], /"512" is not a token id from 0 to 511\.$/],
    ['text for a pack without tokenizer', ['generate', golden, 'Hi'], /^This pack has no tokenizer/],
    [
      'a number that is none',
      ['generate', chat, 'Hi', '--max-tokens', 'many'],
      /^--max-tokens must be a whole number of at least 1, and "many" is not\.$/,
    ],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await models(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trim()).toMatch(message);
    expect(stderr.trim().split('\n').length).toBe(1);
  });

  test('verify names every damaged file', async () => {
    const copy = join(folder, 'damaged.pack');
    expect((await models('pack', GOLDEN_MODEL, copy)).code).toBe(0);
    rmSync(join(copy, 'layer-01.bin'));
    rmSync(join(copy, 'layer-02.bin'));
    expect(await models('verify', copy)).toMatchObject({
      code: 1,
      stderr: 'layer-01.bin is missing from the pack.\nlayer-02.bin is missing from the pack.\n',
    });
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });
});

test('packing in q4_0 reads the text it is given, and the same text gives the same pack', async () => {
  const text = join(folder, 'text.txt');
  writeFileSync(text, 'A short text. It is read twice.');
  const pack = async (name: string, ...options: string[]) => {
    const out = join(folder, name);
    expect(await models('pack', join(folder, 'chat.gguf'), out, ...options)).toMatchObject({ code: 0, stderr: '' });
    return readFileSync(join(out, 'manifest.json'), 'utf8');
  };
  const [first, again] = [await pack('first', '--calibrate', text), await pack('again', '--calibrate', text)];
  expect(again).toBe(first);
  expect(await pack('plain', '--calibrate', 'none')).not.toBe(first);
  expect(await pack('usual')).not.toBe(first);
});
