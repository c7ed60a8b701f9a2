/** What is wrong by an error's message, without a full stop: Node's own complaints about options come in up to three sentences, of which the first says it. */
export const firstSentence = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split(/\.(?:\s|$)/)[0]!;
