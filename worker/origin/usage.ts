/** Bytes of text a token stands for, on average, where nobody has counted. */
const bytesPerToken = 4;

/** About how many tokens a text of that many UTF-8 bytes has. */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}

/** What an attempt has used, in tokens. */
export interface TokenCounts {
  promptTokens: number;
  /** Null when nobody knows: a whole answer that did not come. */
  completionTokens: number | null;
  /** Counted here instead of by the origin. */
  estimated: boolean;
}

/** The counts of an OpenAI usage object, or null when it has none. */
export function tokenCounts(usage: object | null | undefined): TokenCounts | null {
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = (usage ?? {}) as Record<string, unknown>;
  if (typeof promptTokens !== 'number' || typeof completionTokens !== 'number') return null;
  return { promptTokens, completionTokens, estimated: false };
}

/**
 * OpenAI's usage object for an origin that reports none. The prompt is estimated from its bytes and the answer counted in chunks, so the object says that it
 * is an estimate.
 */
export function countedUsage(promptTokens: number, completionTokens: number) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    estimated: true,
  };
}
