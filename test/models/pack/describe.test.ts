import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CATALOG, findInCatalog } from '../../../models/catalog.ts';
import type { ModelConfig } from '../../../models/config.ts';
import { describe as describePack, samplingDefaultsOf, thinkingDefaultOf } from '../../../models/pack/describe.ts';
import { openSource } from '../../../models/sources/index.ts';
import { GOLDEN_MODEL } from '../../support/golden.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();

/** A configuration of a size of the family, as far as the catalog looks at it. */
const sized = (hiddenSize: number, intermediateSize: number, layers: number) =>
  ({
    architecture: 'qwen3_5',
    hiddenSize,
    intermediateSize,
    layerTypes: new Array(layers).fill('full_attention'),
  }) as unknown as ModelConfig;
const SMALLEST = sized(1024, 3584, 24);
const LARGEST = sized(4096, 12288, 32);

/** Golden model with further files as Hugging Face folders have them. */
function folderWith(name: string, files: Record<string, unknown>): string {
  const path = join(folder, name);
  cpSync(GOLDEN_MODEL, path, { recursive: true });
  for (const [file, content] of Object.entries(files))
    writeFileSync(join(path, file), typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

async function described(path: string) {
  const source = await openSource(path);
  await source.close();
  return describePack(source, { quantization: 'q4_0' });
}

describe('the catalog', () => {
  test('has four sizes, instruct and base', () => {
    expect(CATALOG.map((entry) => entry.id)).toEqual(
      ['0.8B', '2B', '4B', '9B'].flatMap((size) => [`Qwen/Qwen3.5-${size}`, `Qwen/Qwen3.5-${size}-Base`]),
    );
    expect(new Set(CATALOG.map((entry) => entry.tier))).toEqual(new Set(['edge', 'middle', 'origin']));
  });

  test('knows a size by its shape', () => {
    expect(findInCatalog(SMALLEST)?.id).toBe('Qwen/Qwen3.5-0.8B');
    expect(findInCatalog(LARGEST)?.id).toBe('Qwen/Qwen3.5-9B');
    expect(findInCatalog(sized(128, 256, 8))).toBeNull();
    expect(findInCatalog({ ...SMALLEST, architecture: 'llama' })).toBeNull();
  });
});

describe('sampling for what a request leaves open', () => {
  test("is the source's, then the family's by size and mode, then neutral", () => {
    const neutral = { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };
    expect(samplingDefaultsOf({ config: sized(64, 64, 4), sampling: null }, null)).toEqual(neutral);
    expect(samplingDefaultsOf({ config: SMALLEST, sampling: null }, false)).toMatchObject({
      temperature: 1,
      topP: 1,
      topK: 20,
      presencePenalty: 2,
    });
    expect(samplingDefaultsOf({ config: LARGEST, sampling: null }, true)).toMatchObject({ topP: 0.95, presencePenalty: 1.5 });
    expect(samplingDefaultsOf({ config: LARGEST, sampling: { temperature: 0.3 } }, true)).toMatchObject({ temperature: 0.3, topP: 0.95 });
  });
});

describe('thinking by default', () => {
  const template = (test: string) =>
    `{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking is defined and enable_thinking is ${test} %}A{% else %}B{% endif %}<think>`;

  test("is what the template does when it is not told, as in the family's small and large sizes", () => {
    expect(thinkingDefaultOf(template('true'), SMALLEST)).toBe(false);
    expect(thinkingDefaultOf(template('false'), LARGEST)).toBe(true);
  });

  test('is unknown to templates that know no thinking, and the catalog answers for those that cannot be rendered', () => {
    expect(thinkingDefaultOf(null, LARGEST)).toBeNull();
    expect(thinkingDefaultOf('{{ messages[0].content }}', LARGEST)).toBeNull();
    expect(thinkingDefaultOf('{% if enable_thinking %', LARGEST)).toBe(true);
    expect(thinkingDefaultOf('{% if enable_thinking %', SMALLEST)).toBe(false);
  });
});

describe('a Hugging Face folder', () => {
  test('ends with what config, generation config and tokenizer name', async () => {
    const path = folderWith('ends', {
      'generation_config.json': { eos_token_id: [500, 7], temperature: 0.6, top_k: 20, top_p: 0.95 },
      'tokenizer_config.json': { eos_token: { content: '<|im_end|>' }, chat_template: 'from the tokenizer' },
      'tokenizer.json': { added_tokens: [{ id: 502, content: '<|im_end|>' }] },
    });
    const manifest = await described(path);
    expect(manifest.eosIds).toEqual([7, 500, 502]);
    expect(manifest.sampling).toMatchObject({ temperature: 0.6, topK: 20, topP: 0.95, presencePenalty: 0 });
    expect(manifest.chatTemplate).toBe('from the tokenizer');
  });

  test('has its template in a file of its own, in the tokenizer configuration, or among several there', async () => {
    const several = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ];
    const cases: [string, Record<string, unknown>, string | null][] = [
      ['file', { 'chat_template.jinja': 'own file', 'tokenizer_config.json': { chat_template: 'x' } }, 'own file'],
      ['several', { 'tokenizer_config.json': { chat_template: several } }, 'plain'],
      ['none', {}, null],
    ];
    for (const [name, files, expected] of cases) expect((await described(folderWith(name, files))).chatTemplate, name).toBe(expected);
  });
});
