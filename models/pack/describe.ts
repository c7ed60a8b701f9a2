import { findInCatalog } from '../catalog.ts';
import type { ModelConfig } from '../config.ts';
import type { Source } from '../sources/source.ts';
import { thinkingDefault } from '../template/thinking.ts';
import type { SamplingDefaults, WeightType } from './manifest.ts';
import type { PackDescription } from './writer.ts';

/** Sampling that changes nothing: plain draws from the model's own distribution. */
const NEUTRAL: SamplingDefaults = { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 };

/**
 * Whether a chat template thinks unless told otherwise; null when it knows no thinking. Qwen3.5 templates differ by size (0.8B and 2B do not think, 4B and 9B
 * do), so the template itself is asked; the catalog answers for one that cannot be rendered.
 */
export function thinkingDefaultOf(template: string | null, config: ModelConfig): boolean | null {
  if (!template?.includes('enable_thinking')) return null;
  return thinkingDefault(template) ?? findInCatalog(config)?.thinkingDefault ?? null;
}

/** Sampling for what a request leaves open: the source's own values, then the catalog's for this size, then neutral ones. */
export function samplingDefaultsOf(source: Pick<Source, 'config' | 'sampling'>, thinks: boolean | null): SamplingDefaults {
  const recommended = findInCatalog(source.config)?.sampling;
  return { ...NEUTRAL, ...(thinks ? recommended?.thinking : recommended?.nonThinking), ...source.sampling };
}

export interface DescribeOptions {
  quantization: WeightType;
  /** Name to serve it by; the source's when absent. */
  name?: string;
  /** Marks random weights, as do sources that say so themselves. */
  fixture?: boolean;
  /** Tokens that the tokenizer has; the whole vocabulary when there is none. */
  tokenCount?: number;
}

/** What a pack's manifest says about a source. */
export function describe(source: Source, options: DescribeOptions): PackDescription {
  const thinks = thinkingDefaultOf(source.chatTemplate, source.config);
  return {
    name: options.name ?? source.name,
    source: source.origin,
    fixture: options.fixture || source.fixture,
    quantization: options.quantization,
    tokenCount: options.tokenCount ?? source.config.vocabSize,
    eosIds: source.eosIds,
    sampling: samplingDefaultsOf(source, thinks),
    thinkingDefault: thinks,
    chatTemplate: source.chatTemplate,
  };
}
