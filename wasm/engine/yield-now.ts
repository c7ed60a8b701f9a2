/** Lets the event loop run whatever else is ready, then goes on. */
export type YieldNow = () => Promise<void>;

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
