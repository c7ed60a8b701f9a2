/** Bytes of text a token stands for, on average, where nobody has counted. */
const bytesPerToken = 4;

/** About how many tokens a text of that many UTF-8 bytes has. */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
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
