import { ModelError } from '../model-error.ts';
import { openSource } from '../sources/index.ts';
import type { Source } from '../sources/source.ts';
import { tensorGroups } from '../tensors.ts';
import { type BuiltTokenizer, buildTokenizer } from '../tokenizer/build.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type DescribeOptions, describe } from './describe.ts';
import type { Importance } from './importance.ts';
import type { Manifest, WeightType } from './manifest.ts';
import { type PackDescription, requireAbsent, type WriteOptions, writePack } from './writer.ts';

export interface PackModelOptions
  extends Omit<DescribeOptions, 'quantization' | 'tokenCount'>,
    Omit<WriteOptions, 'tokenizer' | 'importance'> {
  /** Default q4_0. */
  quantization?: WeightType;
  /** What q4_0 is calibrated with, if at all. Sources without a tokenizer, and those whose matrices are all in q4_0 already, are not. */
  calibration?: Calibration;
}

export interface Calibration {
  text: string;
  /** Runs the model over the text's tokens (wasm/engine/calibrate.ts; models/ knows no engine). */
  run: (source: Source, ids: number[], description: PackDescription) => Promise<Importance>;
}

/** More tokens change the result less than another text does. */
const MAX_CALIBRATION_TOKENS = 1024;

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
    await requireAbsent(out);
    const importance = options.calibration && (await importanceOf(source, description, tokenizer, options.calibration));
    const manifest = await writePack(source, out, description, { ...options, tokenizer, importance });
    return { manifest, warnings };
  } finally {
    await source.close();
  }
}

/** What calibration finds out about a source; undefined when there is nothing to calibrate. */
export async function importanceOf(
  source: Source,
  description: PackDescription,
  tokenizer: Uint8Array | null,
  { text, run }: Calibration,
): Promise<Importance | undefined> {
  const matrices = tensorGroups(source.config).flatMap(({ tensors }) => tensors.filter(({ storage }) => storage === 'matrix'));
  const stored = matrices.every(({ name }) => source.place(name).type === 'Q4_0');
  if (description.quantization !== 'q4_0' || !tokenizer || stored) return undefined;
  const ids = Tokenizer.load(tokenizer).encode(text).slice(0, Math.min(MAX_CALIBRATION_TOKENS, source.config.contextLength));
  return ids.length > 0 ? run(source, ids, description) : undefined;
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
