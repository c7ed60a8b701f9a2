/** On a terminal a line that is redrawn; elsewhere (CI logs) a line every few seconds. */
const REDRAW_MS = 100;
const LOG_MS = 5000;

/** Reports progress on stderr, in bytes unless told what is counted. Call the answer with what is done and what there is to do. */
export function progressReporter(label: string, counted?: string): (done: number, total: number) => void {
  const terminal = process.stderr.isTTY;
  let last = terminal ? 0 : Date.now();
  return (done, total) => {
    const finished = done === total;
    const now = Date.now();
    if (now - last < (terminal ? REDRAW_MS : LOG_MS) && !(finished && terminal)) return;
    last = now;
    const amount = counted ? `${done} of ${total} ${counted}` : `${megabytes(done)} of ${megabytes(total)} MB`;
    const text = `${label}: ${amount} (${Math.floor((100 * done) / total)} %)`;
    process.stderr.write(terminal ? `\r${text}${finished ? '\n' : ''}` : `${text}\n`);
  };
}

/** Bytes as megabytes with one decimal. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
