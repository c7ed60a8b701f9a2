/** Newline-delimited JSON: one value a line, each line ended. */

const encoder = new TextEncoder();

/** Each value on a line of its own. */
export const ndjsonLines = (...values: unknown[]): Uint8Array =>
  encoder.encode(values.map((value) => `${JSON.stringify(value)}\n`).join(''));

/** The values of a stream of lines, however it is cut into pieces. Throws a SyntaxError for a line that is not JSON, or for an unfinished last line. */
export async function* readNdjson(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown, void, void> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line);
      if (done) break;
    }
    if (rest) throw new SyntaxError('The stream ended inside a line.');
  } finally {
    // Also when the reader of these values leaves early: the other side is to stop.
    await reader.cancel().catch(() => {});
  }
}
