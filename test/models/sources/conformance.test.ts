import { copyFileSync, cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelError } from '../../../models/model-error.ts';
import { openSource } from '../../../models/sources/index.ts';
import type { Source } from '../../../models/sources/source.ts';
import { tensorGroups } from '../../../models/tensors.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { convertToGguf } from '../../support/convert-to-gguf.ts';
import { GOLDEN_MODEL } from '../../support/golden.ts';
import { makeGguf } from '../../support/make-gguf.ts';
import { sameFloats } from '../../support/same-floats.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();
const made = (name: string) => join(folder, name);

/** Every kind of source: one file and several, both architectures, both formats, nk = nv and nk < nv, tied and not. */
const SOURCES = [
  { title: 'safetensors, F32, nested config', path: GOLDEN_MODEL, architecture: 'qwen3_5', tiedHead: true },
  { title: 'safetensors, F32, flat config', path: checkpoint('qwen3_5-tied'), architecture: 'qwen3_5', tiedHead: true },
  { title: 'safetensors, BF16, in four files', path: checkpoint('qwen3_5-untied'), architecture: 'qwen3_5', tiedHead: false },
  { title: 'safetensors, F16', path: checkpoint('llama-tied'), architecture: 'llama', tiedHead: true },
  { title: 'gguf, qwen35, F32', path: made('tiny-f32.gguf'), architecture: 'qwen3_5', tiedHead: true },
  { title: 'gguf, qwen35, Q4_0 and Q6_K', path: made('small-mix.gguf'), architecture: 'qwen3_5', tiedHead: true },
  { title: 'gguf, llama', path: made('llama.gguf'), architecture: 'llama', tiedHead: true },
];

beforeAll(async () => {
  makeGguf(made('tiny-f32.gguf'), 'tiny', 'f32');
  makeGguf(made('small-mix.gguf'), 'small', 'q4_0_mix');
  const llama = await openSource(checkpoint('llama-tied'));
  await convertToGguf(llama, made('llama.gguf'));
  await llama.close();
});

describe.each(SOURCES)('$title', ({ path, architecture, tiedHead }) => {
  let source: Source;
  const read = async (name: string, row: number, rows: number) => {
    const data = await source.read(name, row, rows);
    if (data.type !== 'f32') throw new Error('floats were asked for');
    return data.values;
  };

  beforeAll(async () => {
    source = await openSource(path);
  });
  afterAll(() => source.close());

  test('knows the architecture and has every tensor of it', async () => {
    expect(source.config.architecture).toBe(architecture);
    expect(source.config.tiedHead).toBe(tiedHead);
    for (const { name, shape } of tensorGroups(source.config).flatMap((group) => group.tensors)) {
      const values = await read(name, 0, shape.length === 1 ? 1 : shape[0]);
      expect(values.length, name).toBe(shape.reduce((product, size) => product * size, 1));
      expect(values.every(Number.isFinite), name).toBe(true);
      expect(new Set(values).size, `${name} should not be constant`).toBeGreaterThan(1);
    }
  });

  test('reads the same rows in pieces as at once', async () => {
    for (const { name, shape } of tensorGroups(source.config).flatMap((group) => group.tensors)) {
      if (shape.length === 1) continue;
      const whole = await read(name, 0, shape[0]);
      const cut = Math.ceil(shape[0] / 3);
      const pieces = new Float32Array(whole.length);
      pieces.set(await read(name, 0, cut));
      pieces.set(await read(name, cut, shape[0] - cut), cut * shape[1]);
      expect(sameFloats(pieces, whole), name).toBe(true);
    }
  });

  test('stores norms as the factor that multiplies, and decay as a negative rate', async () => {
    const average = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
    for (const name of ['norm', 'layers.0.input_norm', 'layers.0.post_norm'])
      expect(Math.abs(average(await read(name, 0, 1)) - 1)).toBeLessThan(0.5);
    if (source.config.linear) expect((await read('layers.0.decay', 0, 1)).every((value) => value < 0)).toBe(true);
  });

  test('a tensor that the model does not have cannot be read', async () => {
    await expect(source.read('layers.0.no_proj', 0, 1)).rejects.toThrow(/no tensor layers\.0\.no_proj/);
  });

  test('cut short anywhere, it is refused when opened', async () => {
    const copy = join(folder, `cut-${SOURCES.findIndex((entry) => entry.path === path)}`);
    const file = path.endsWith('.gguf') ? copy : join(copy, readdirSync(path).find((name) => name.endsWith('.safetensors'))!);
    const { size } = statSync(path.endsWith('.gguf') ? path : join(path, file.slice(copy.length + 1)));
    if (path.endsWith('.gguf')) copyFileSync(path, copy);
    else cpSync(path, copy, { recursive: true });
    for (const length of [size - 5000, Math.floor(size / 2), Math.floor(size / 100), 200, 30, 8, 7, 3, 0]) {
      truncateSync(file, length);
      await expect(openSource(copy), `${length} bytes`).rejects.toThrow(ModelError);
      await expect(openSource(copy), `${length} bytes`).rejects.toThrow(/is truncated|is not a (GGUF|safetensors) file/);
    }
  });
});

test('a path that does not exist and a file that is no model are refused in a sentence', async () => {
  await expect(openSource(made('nowhere'))).rejects.toThrow(/nowhere does not exist\./);
  writeFileSync(made('text.gguf'), readFileSync(new URL(import.meta.url)));
  await expect(openSource(made('text.gguf'))).rejects.toThrow('text.gguf is not a GGUF file.');
  await expect(openSource(folder)).rejects.toThrow(/has no config\.json/);
});
