import { stat } from 'node:fs/promises';
import { ModelError } from '../model-error.ts';
import { openGgufSource } from './gguf/index.ts';
import { openSafetensorsSource } from './safetensors/index.ts';
import type { Source } from './source.ts';

/** Opens a model by looking at what the path is: a folder in Hugging Face layout, or a GGUF file. Close it when done. Throws `ModelError`. */
export async function openSource(path: string): Promise<Source> {
  const found = await stat(path).catch(() => null);
  if (!found) throw new ModelError(`${path} does not exist.`);
  return found.isDirectory() ? openSafetensorsSource(path) : openGgufSource(path);
}
