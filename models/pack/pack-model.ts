import { openSource } from '../sources/index.ts';
import { type DescribeOptions, describe } from './describe.ts';
import type { Manifest, WeightType } from './manifest.ts';
import { type WriteOptions, writePack } from './writer.ts';

export interface PackModelOptions extends Omit<DescribeOptions, 'quantization' | 'tokenCount'>, Omit<WriteOptions, 'tokenizer'> {
  /** Default q4_0. */
  quantization?: WeightType;
}

/**
 * Packs the model at `path` (a Hugging Face folder or a GGUF file) into the new folder `out`. Answers the manifest and warnings for people, for instance that
 * the source has no tokenizer. Throws `ModelError`.
 */
export async function packModel(
  path: string,
  out: string,
  options: PackModelOptions = {},
): Promise<{ manifest: Manifest; warnings: string[] }> {
  const source = await openSource(path);
  try {
    const warnings: string[] = [];
    const tokenizer = null;
    const description = describe(source, { ...options, quantization: options.quantization ?? 'q4_0' });
    return { manifest: await writePack(source, out, description, { ...options, tokenizer }), warnings };
  } finally {
    await source.close();
  }
}
