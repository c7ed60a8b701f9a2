import type { Measurement, Message } from './measurement.ts';

/** To the process that started this one; one started by hand prints. */
export function send(message: Message): void {
  if (process.send) process.send(message);
  else process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** What one child process says about the engine it measures. */
export class Report {
  readonly #base: { engine: string; model: string; threads: number };

  constructor(engine: string, model: string, threads: number) {
    this.#base = { engine, model, threads };
  }

  measured(metric: Measurement['metric'], at: Measurement['at'], samples: number[]): void {
    send({ kind: 'measurement', ...this.#base, metric, at, samples });
    const { engine, threads } = this.#base;
    process.stderr.write(
      `  ${engine}, ${threads} thread${threads > 1 ? 's' : ''}: ${metric} ${at} ${samples.map((x) => x.toPrecision(4)).join(' ')}\n`,
    );
  }

  fact(name: string, value: string | number): void {
    send({ kind: 'fact', engine: this.#base.engine, name, value });
  }

  skipped(reason: string): void {
    const { engine, threads } = this.#base;
    send({ kind: 'skipped', engine: `${engine}, ${threads} thread${threads > 1 ? 's' : ''}`, reason });
  }
}

/** Runs `sample` `count` times, one after the other; the results of `warmUp` runs before are dropped. */
export async function repeat<T>(count: number, sample: () => Promise<T> | T, warmUp = 1): Promise<T[]> {
  for (let i = 0; i < warmUp; i++) await sample();
  const samples: T[] = [];
  while (samples.length < count) samples.push(await sample());
  return samples;
}
