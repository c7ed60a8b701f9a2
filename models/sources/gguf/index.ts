import { ModelError } from '../../model-error.ts';
import { openFile, type RandomAccessFile } from '../file.ts';
import { mapTensors } from '../mapped-tensors.ts';
import type { Source } from '../source.ts';
import { readGgufConfig, readGgufEos, readGgufTokenizer } from './metadata.ts';
import { isPredictionTensor, mapGguf } from './names.ts';
import { readGguf } from './store.ts';

/** Quantization at the end of a file name, which is the file's and not the model's: "SmolLM2-135M-Instruct.Q4_1". */
const QUANTIZATION_SUFFIX = /[.-](i?q\d\w*|bf16|f16|f32)$/i;

/** Opens a GGUF v3 file of the architectures `qwen35` and `llama`. Throws `ModelError`. */
export const openGgufSource = async (path: string): Promise<Source> => readGgufSource(await openFile(path));

/** As `openGgufSource`, from a file that is open, or that is still on its way; it is closed with the source. */
export async function readGgufSource(file: RandomAccessFile): Promise<Source> {
  const origin = file.name;
  const store = await readGguf(file);
  try {
    if (Number(store.metadata.get('split.count') ?? 1) > 1)
      throw new ModelError(`${origin} is one part of several; merge them with llama-gguf-split first.`);
    const config = readGgufConfig(store);
    const mapped = mapTensors(store, config, mapGguf(config), (name) => isPredictionTensor(name, config.layerTypes.length));
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
      ...mapped,
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
