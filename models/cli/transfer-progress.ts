import { megabytes } from './progress.ts';

/** The rate is that of the last so many milliseconds: long enough to be steady, short enough to follow the line. */
const WINDOW_MS = 10_000;
/** On a terminal a line that is redrawn; elsewhere (CI logs) a line every few seconds. */
const REDRAW_MS = 200;
const LOG_MS = 5000;

/** Bytes a second over the last ten seconds. What was there before the first call does not count. */
export class RateMeter {
  #samples: { at: number; done: number }[] = [];

  add(at: number, done: number): void {
    this.#samples.push({ at, done });
    while (this.#samples.length > 2 && at - this.#samples[1]!.at >= WINDOW_MS) this.#samples.shift();
  }

  /** Null while nothing can be said. */
  get rate(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    return first && last && last.at > first.at ? ((last.done - first.done) / (last.at - first.at)) * 1000 : null;
  }
}

/** "Downloading: 512.0 of 1770.0 MB (28 %), 45.1 MB/s, 0:28 left" */
export function transferLine(label: string, done: number, total: number, rate: number | null): string {
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  const line = `${label}: ${megabytes(done)} of ${megabytes(total)} MB (${percent} %)`;
  if (!rate) return line;
  return `${line}, ${megabytes(rate)} MB/s, ${clock((total - done) / rate)} left`;
}

function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

export interface TransferReporter {
  onProgress: (done: number, total: number) => void;
  onResume: (done: number, total: number) => void;
  /** A line between those of the progress. */
  say: (text: string) => void;
}

/** Reports a transfer on stderr, with its rate and the time left. */
export function transferReporter(label: string): TransferReporter {
  const terminal = process.stderr.isTTY;
  const meter = new RateMeter();
  let last: number | null = null;
  let lineOpen = false;
  const say = (text: string) => {
    process.stderr.write(`${lineOpen ? '\n' : ''}${text}\n`);
    lineOpen = false;
  };
  const onProgress = (done: number, total: number) => {
    const now = Date.now();
    if (last === null) {
      meter.add(now, done);
      last = now;
      return;
    }
    if (now - last < (terminal ? REDRAW_MS : LOG_MS) && done < total) return;
    last = now;
    meter.add(now, done);
    const line = transferLine(label, done, total, meter.rate);
    if (terminal) process.stderr.write(`\r${line.padEnd(78)}`);
    else process.stderr.write(`${line}\n`);
    lineOpen = terminal && done < total;
    if (terminal && done === total) process.stderr.write('\n');
  };
  const onResume = (done: number, total: number) => say(`Going on at ${megabytes(done)} of ${megabytes(total)} MB.`);
  return { onProgress, onResume, say };
}
