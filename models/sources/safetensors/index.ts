import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../model-error.ts';
import type { SamplingDefaults } from '../../pack/manifest.ts';
import type { TokenizerSource } from '../../tokenizer/source.ts';
import { mapTensors } from '../mapped-tensors.ts';
import type { Source } from '../source.ts';
import type { TensorStore } from '../tensor-store.ts';
import { eosList, readHuggingFaceConfig } from './config.ts';
import { decoderPrefix, isIgnored, mapHuggingFace } from './names.ts';
import { openSafetensors } from './store.ts';

const optionalNumber = z.number().nullish().catch(null);
const generationSchema = z.object({
  eos_token_id: z
    .union([z.number().int(), z.array(z.number().int())])
    .nullish()
    .catch(null),
  temperature: optionalNumber,
  top_p: optionalNumber,
  top_k: optionalNumber,
  min_p: optionalNumber,
  repetition_penalty: optionalNumber,
});
const templateSchema = z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]);
const tokenSchema = z.union([z.string(), z.object({ content: z.string() }).transform((token) => token.content)]);

/**
 * Opens a folder in Hugging Face layout: `config.json`, safetensors, and where present the tokenizer's, template's and generation's files.
 * `openTensors` replaces the folder's safetensors, for weights that are elsewhere.
 */
export async function openSafetensorsSource(
  folder: string,
  openTensors: () => Promise<TensorStore> = () => openSafetensors(folder),
): Promise<Source> {
  const json = async (file: string) => parseJson(file, await textFile(folder, file));
  const configJson = await json('config.json');
  if (configJson === null) throw new ModelError(`${folder} has no config.json, so it is not a model in Hugging Face layout.`);
  const store = await openTensors();
  try {
    const { config, eosIds } = readHuggingFaceConfig(configJson, store.tensors.has('lm_head.weight'));
    const mapped = mapTensors(store, config, mapHuggingFace(config, decoderPrefix(store.tensors)), isIgnored);
    const generation = generationSchema.parse((await json('generation_config.json')) ?? {});
    const tokenizerConfig = await textFile(folder, 'tokenizer_config.json');
    const tokenizerJson = await textFile(folder, 'tokenizer.json');
    const eosToken = tokenizerEos(tokenizerJson, tokenizerConfig);
    const name = basename(resolve(folder));
    return {
      name,
      origin: name,
      fixture: false,
      config,
      tokenizer: tokenizerJson === null ? null : ({ kind: 'hf', tokenizerJson, tokenizerConfig } satisfies TokenizerSource),
      chatTemplate: (await textFile(folder, 'chat_template.jinja')) ?? templateOf(tokenizerConfig),
      eosIds: [...new Set([...eosIds, ...eosList(generation.eos_token_id), ...eosToken])].sort((a, b) => a - b),
      sampling: samplingOf(generation),
      ...mapped,
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

const textFile = (folder: string, file: string): Promise<string | null> => readFile(join(folder, file), 'utf8').catch(() => null);

function parseJson(file: string, text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new ModelError(`${file} is not valid JSON.`);
  }
}

function templateOf(tokenizerConfig: string | null): string | null {
  const template = templateSchema.safeParse(
    (parseJson('tokenizer_config.json', tokenizerConfig) as { chat_template?: unknown } | null)?.chat_template,
  );
  if (!template.success) return null;
  if (typeof template.data === 'string') return template.data;
  return (template.data.find((entry) => entry.name === 'default') ?? template.data[0])?.template ?? null;
}

/** Id of the tokenizer's own end token, which for chat models (`<|im_end|>`) often is not the one in config.json. */
function tokenizerEos(tokenizerJson: string | null, tokenizerConfig: string | null): number[] {
  const eos = tokenSchema.safeParse((parseJson('tokenizer_config.json', tokenizerConfig) as { eos_token?: unknown } | null)?.eos_token);
  const tokenizer = parseJson('tokenizer.json', tokenizerJson) as { added_tokens?: { id: number; content: string }[] } | null;
  const token = eos.success ? tokenizer?.added_tokens?.find(({ content }) => content === eos.data) : undefined;
  return token ? [token.id] : [];
}

function samplingOf(generation: z.infer<typeof generationSchema>): Partial<SamplingDefaults> {
  const found: Record<keyof Omit<SamplingDefaults, 'presencePenalty'>, number | null | undefined> = {
    temperature: generation.temperature,
    topP: generation.top_p,
    topK: generation.top_k,
    minP: generation.min_p,
    repetitionPenalty: generation.repetition_penalty,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => typeof value === 'number'));
}
