/** Node's parseArgs throws these for unknown options and missing values; their messages are fit for users. */
export const isOptionError = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');

/** What is wrong by an error's message, without a full stop: Node's own complaints about options come in up to three sentences, of which the first says it. */
export const firstSentence = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split(/\.(?:\s|$)/)[0]!;
