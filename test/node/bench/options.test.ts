import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { numberOption, numbersOption } from '../../../bench/options.ts';

describe('a number of the command line', () => {
  const some = { min: 1, whole: true };
  it.each([
    ['3', some, 3],
    ['0', {}, 0],
    ['0.5', { over: 0, max: 1 }, 0.5],
    ['1e3', {}, 1000],
  ])('%j within %j is %d', (text, bounds, value) => {
    expect(numberOption('n', text, bounds)).toBe(value);
  });

  it.each([
    ['', {}, 'a number of at least 0'],
    [' ', {}, 'a number of at least 0'],
    ['-1', {}, 'a number of at least 0'],
    ['NaN', {}, 'a number of at least 0'],
    ['Infinity', {}, 'a number of at least 0'],
    ['many', some, 'a whole number of at least 1'],
    ['0', some, 'a whole number of at least 1'],
    ['1.5', some, 'a whole number of at least 1'],
    ['0', { over: 0 }, 'a number over 0'],
    ['2', { over: 0, max: 1 }, 'a number over 0 and at most 1'],
    ['70000', { min: 0, max: 65535, whole: true }, 'a whole number from 0 to 65535'],
  ])('is not %j within %j', (text, bounds, what) => {
    expect(() => numberOption('n', text, bounds)).toThrow(`--n must be ${what}, and "${text}" is not.`);
  });

  it('may be several', () => {
    expect(numbersOption('n', '1,2,3', ',', 3)).toEqual([1, 2, 3]);
    for (const text of ['1,2', '1,,3', '1,2,0', ''])
      expect(() => numbersOption('n', text, ',', 3, { over: 0 })).toThrow('3 times a number over 0');
  });
});

/** What a command says on stderr, and its exit code. */
const told = (file: string, ...args: string[]) =>
  new Promise<[number, string]>((resolve) => {
    execFile(process.execPath, [file, ...args], (error, _, stderr) => resolve([Number(error?.code ?? 0), stderr.trim()]));
  });

it.each([
  [
    'bench/sim/index.ts',
    ['--pipeline-cost', '--pack', 'models/demo/pack', '--prefill', '0'],
    '--prefill must be a number over 0, and "0" is not.',
  ],
  [
    'bench/sim/index.ts',
    ['--pipeline-cost', '--pack', 'models/demo/pack', '--size', '0+0'],
    '--size must be 2 times a whole number of at least 1',
  ],
  ['bench/sim/index.ts', ['--prefill'], "Option '--prefill <value>' argument missing."],
  ['bench/sim/index.ts', ['--scenario', 'nowhere.json'], '--scenario: there is no file nowhere.json.'],
  ['bench/index.ts', ['streams', '--streams', '0'], '--streams must be a whole number of at least 1'],
  ['bench/index.ts', ['edge', '--runs', 'x'], '--runs must be a whole number of at least 1'],
  ['bench/index.ts', ['edge', '--model', 'nowhere'], '--model: nowhere is not a pack'],
  ['bench/index.ts', ['pipeline', '--pack', 'nowhere'], '--pack: nowhere is not a pack'],
  ['bench/index.ts', ['quality', 'nowhere'], 'nowhere is not a pack'],
  ['bench/index.ts', ['own-server', '--runtime', 'deno'], '--runtime must be workerd or node, and "deno" is not.'],
  ['bench/index.ts', ['demo', '--url', 'http://127.0.0.1:1'], 'Nobody answers at http://127.0.0.1:1 (--url).'],
  ['bench/sim/index.ts', ['--pipeline-cost', '--pack', 'nowhere'], '--pack: nowhere is not a pack'],
])('%s %j says what is wrong in one line', async (file, args, message) => {
  const [code, said] = await told(file, ...args);
  expect([code, said.split('\n').length]).toEqual([1, 1]);
  expect(said).toContain(message);
  expect(said).toMatch(/ See npm run (sim|bench) -- ([\w-]+ )?--help\.$/);
});
