/** Computing between two yields, milliseconds: what a proxied stream or an abort may have to wait for a layer's length more. */
const SLICE_MS = 8;
/** Calls between two yields where the clock does not help: deployed, it stands still during computation. */
const SLICE_CALLS = 8;

export interface EventLoop {
  /** Lets other events in when enough was computed since the last time; otherwise answers at once. For the engine to call after every layer. */
  yieldNow(): Promise<void>;
  /** Always lets other events in. */
  turn(): Promise<void>;
}

/**
 * How the engine shares the event loop. Measured in workerd: a timer (setTimeout or setImmediate, both) costs 1.1 ms, which after every layer would be a
 * quarter of the time; a message to oneself or a resolved promise costs nothing but lets no I/O in: a ping took 900 ms beside a loop that yields so.
 * @param now milliseconds
 * @param letOthersIn how this platform turns its event loop once
 */
export function createEventLoop(now: () => number, letOthersIn = timer): EventLoop {
  let last = now();
  let calls = 0;
  const turn = async () => {
    await letOthersIn();
    last = now();
    calls = 0;
  };
  return {
    async yieldNow() {
      calls += 1;
      if (calls >= SLICE_CALLS || now() - last >= SLICE_MS) await turn();
    },
    turn,
  };
}

const timer = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
