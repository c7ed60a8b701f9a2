import type { EdgeStatus } from '../protocol.ts';

/** What is known of a container that sleeps: what it said last. */
export function asleep(last: EdgeStatus): EdgeStatus {
  return {
    ...last,
    state: 'cold',
    error: null,
    running: 0,
    queued: 0,
    memory: null,
    figures: last.figures && { ...last.figures, running: 0, queued: 0, warm: false },
  };
}
