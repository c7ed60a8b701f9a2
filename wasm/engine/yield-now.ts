/**
 * Lets the event loop run whatever else is ready, then goes on; or goes on at once when little was computed. The engine calls it every few milliseconds.
 * @param work what was computed since the last call, in multiply-adds (work.ts): a clock may stand still during computation
 */
export type YieldNow = (work: number) => Promise<void>;

/**
 * `setImmediate` where there is one (0.01 ms in Node), else a timer. A resolved promise would let nothing in, and in workerd nor would a message to oneself; there
 * both of these cost over a millisecond, so a Worker brings its own function that yields less often.
 */
export const yieldNow: YieldNow = () =>
  new Promise((resolve) => {
    if (globals.setImmediate) globals.setImmediate(resolve);
    else setTimeout(resolve, 0);
  });

const globals = globalThis as unknown as { setImmediate?: (callback: () => void) => unknown };
