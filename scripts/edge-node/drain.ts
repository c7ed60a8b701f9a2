import type { Server, ServerResponse } from 'node:http';

/** Lets the answers of a server that is to stop end by themselves. */
export class Drain {
  #running = 0;
  #draining = false;
  #whenIdle: (() => void) | null = null;

  /** No new work is taken. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Answers on their way. */
  get running(): number {
    return this.#running;
  }

  /** Counts an answer until it is written or its client is gone. */
  count(outgoing: ServerResponse): void {
    this.#running++;
    outgoing.once('close', () => {
      this.#running--;
      if (this.#running === 0) this.#whenIdle?.();
    });
  }

  /** Turns `draining` on and waits for the answers on their way, at most `limitMs`. Returns how many are left. */
  async finish(limitMs: number): Promise<number> {
    this.#draining = true;
    if (this.#running === 0) return 0;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#whenIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return this.#running;
  }
}

/**
 * Ends the process on signals: SIGTERM after the answers that run, with exit code 0; SIGINT, SIGHUP (unless taken by someone else) and any second signal at once.
 * @param limitMs longest wait for answers
 */
export function endOnSignals(server: Server, drain: Drain, limitMs: number, signals: NodeJS.Signals[] = ['SIGINT', 'SIGHUP']): void {
  const end = () => {
    server.close();
    server.closeAllConnections();
    process.exit(0);
  };
  for (const signal of signals) process.once(signal, end);
  process.on('SIGTERM', async () => {
    if (drain.draining) return end();
    if (drain.running > 0) console.log(JSON.stringify({ event: 'stopping', running: drain.running, atMostMs: limitMs }));
    const left = await drain.finish(limitMs);
    if (left > 0) console.log(JSON.stringify({ event: 'stopped', cutOff: left }));
    end();
  });
}
