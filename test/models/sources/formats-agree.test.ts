import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openSource } from '../../../models/sources/index.ts';
import type { Source } from '../../../models/sources/source.ts';
import { tensorGroups } from '../../../models/tensors.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { convertToGguf } from '../../support/convert-to-gguf.ts';
import { GOLDEN_MODEL } from '../../support/golden.ts';
import { sameFloats } from '../../support/same-floats.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();

const tensorsOf = (source: Source) => tensorGroups(source.config).flatMap((group) => group.tensors);

/** The same model as safetensors and as the GGUF that llama.cpp's converter would make of it. */
async function withBoth(
  path: string,
  type: 'f32' | 'q8_0' | 'q4_0',
  check: (original: Source, converted: Source) => Promise<void>,
): Promise<void> {
  const original = await openSource(path);
  const file = join(folder, `${Math.random()}.gguf`);
  await convertToGguf(original, file, type);
  const converted = await openSource(file);
  try {
    await check(original, converted);
  } finally {
    await original.close();
    await converted.close();
  }
}

describe.each([
  { title: 'qwen3_5, as many value heads as key heads', path: GOLDEN_MODEL },
  { title: 'qwen3_5, twice as many value heads, head of its own', path: checkpoint('qwen3_5-untied') },
  { title: 'llama', path: checkpoint('llama-tied') },
])('$title', ({ path }) => {
  test('configuration and every tensor are the same from safetensors and from GGUF', async () => {
    await withBoth(path, 'f32', async (original, converted) => {
      expect(converted.config).toEqual(original.config);
      for (const { name, shape } of tensorsOf(original)) {
        const rows = shape.length === 1 ? 1 : shape[0];
        const [ours, theirs] = [await converted.read(name, 0, rows), await original.read(name, 0, rows)];
        expect(ours.type === 'f32' && theirs.type === 'f32' && sameFloats(ours.values, theirs.values), name).toBe(true);
      }
    });
  });

  test.each(['q4_0', 'q8_0'] as const)('%s blocks are moved to their places without being decoded', async (type) => {
    await withBoth(path, type, async (_, converted) => {
      for (const { name, shape, storage } of tensorsOf(converted)) {
        if (storage !== 'matrix') continue;
        const blocks = await converted.read(name, 0, shape[0], type);
        const floats = await converted.read(name, 0, shape[0]);
        expect(blocks.type, name).toBe(type);
        expect(floats.type, name).toBe('f32');
      }
    });
  });
});
