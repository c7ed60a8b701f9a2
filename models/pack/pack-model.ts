import { ModelError } from '../model-error.ts';
import { openSource } from '../sources/index.ts';
import type { Source } from '../sources/source.ts';
import { type BuiltTokenizer, buildTokenizer } from '../tokenizer/build.ts';
import { type DescribeOptions, describe } from './describe.ts';
import type { Manifest, WeightType } from './manifest.ts';
import { type PackDescription, type WriteOptions, writePack } from './writer.ts';

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
    const { description, tokenizer, warnings } = preparePack(source, { ...options, quantization: options.quantization ?? 'q4_0' });
    const manifest = await writePack(source, out, description, { ...options, tokenizer });
    return { manifest, warnings };
  } finally {
    await source.close();
  }
}

/** All of a pack but its weights. `tokenizer` is the content of `tokenizer.bin`. Throws `ModelError` when tokenizer and model do not fit. */
export function preparePack(
  source: Source,
  options: Omit<DescribeOptions, 'tokenCount'>,
): { description: PackDescription; tokenizer: Uint8Array | null; warnings: string[] } {
  const tokenizer = source.tokenizer && buildTokenizer(source.tokenizer);
  if (tokenizer && tokenizer.tokenCount > source.config.vocabSize) {
    throw new ModelError(`The tokenizer has ${tokenizer.tokenCount} tokens and the model only ${source.config.vocabSize} rows for them.`);
  }
  const description = describe(source, { ...options, tokenCount: tokenizer?.tokenCount });
  return { description, tokenizer: tokenizer?.bytes ?? null, warnings: warningsOf(source, tokenizer) };
}

function warningsOf(source: Source, tokenizer: BuiltTokenizer | null): string[] {
  const warnings = tokenizer?.warnings ?? ['The source has no tokenizer, so the pack takes and gives token ids only.'];
  if (source.eosIds.length === 0) warnings.push('The source names no end token, so only a token limit ends a generation.');
  return warnings;
}
