import type { EngineJob, Request } from './measurement.ts';
import { send } from './report.ts';

/** What a child process does with its engine. */
export interface Engine {
  /** Measures and reports all its figures. */
  suite(): Promise<void>;
  /** One figure, where it is compared with others by turns. */
  run?(job: EngineJob): Promise<number>;
  stop?(): Promise<unknown>;
}

/** Answers the process that started this one, until it lets go. */
export function serve({ suite, run, stop }: Engine): void {
  process.on('message', async (request: Request) => {
    try {
      if (request.name === 'suite') await suite();
      else if (!run) throw new Error(`this engine cannot be asked for ${request.name} alone`);
      send({ kind: 'answer', value: request.name === 'suite' ? 0 : await run!(request) });
    } catch (error) {
      send({ kind: 'failed', reason: (error as Error).message });
    }
  });
  process.once('disconnect', async () => {
    await stop?.();
    process.exit(0);
  });
  send({ kind: 'answer', value: 0 });
}
