import { basename } from 'node:path';
import { ModelError } from '../../model-error.ts';
import { mapTensors } from '../mapped-tensors.ts';
import type { Source } from '../source.ts';
import { readGgufConfig, readGgufEos, readGgufTokenizer } from './metadata.ts';
import { isPredictionTensor, mapGguf } from './names.ts';
import { openGguf } from './store.ts';

/** Quantization at the end of a file name, which is the file's and not the model's: "SmolLM2-135M-Instruct.Q4_1". */
const QUANTIZATION_SUFFIX = /[.-](i?q\d\w*|bf16|f16|f32)$/i;

/** Opens a GGUF v3 file of the architectures `qwen35` and `llama`. Throws `ModelError`. */
export async function openGgufSource(path: string): Promise<Source> {
  const origin = basename(path);
  const store = await openGguf(path);
  try {
    if (Number(store.metadata.get('split.count') ?? 1) > 1)
      throw new ModelError(`${origin} is one part of several; merge them with llama-gguf-split first.`);
    const config = readGgufConfig(store);
    const read = mapTensors(store, config, mapGguf(config), (name) => isPredictionTensor(name, config.layerTypes.length));
    const tokenizer = readGgufTokenizer(store.metadata);
    const template = store.metadata.get('tokenizer.chat_template');
    return {
      name: origin.replace(/\.gguf$/i, '').replace(QUANTIZATION_SUFFIX, ''),
      origin,
      fixture: String(store.metadata.get('general.name') ?? '').startsWith('random '),
      config,
      tokenizer,
      chatTemplate: typeof template === 'string' ? template : null,
      eosIds: readGgufEos(tokenizer),
      sampling: null,
      read,
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
