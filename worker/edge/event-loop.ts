/**
 * Computing between two yields: 32 ms, in which the next half layer must still fit, if it takes no longer than the longest since the last yield; and a count of multiply-adds,
 * since the deployed clock stands still during computation. A token of a 0.8B model takes 0.75e9, in 20 to 50 ms; one of a prompt 0.5e9, in 10. A yield costs 1.1 ms, so more
 * often costs more (docs/decisions/0027).
 */
const SLICE_WORK = 1.6e9;
const SLICE_MS = 32;

export interface EventLoop {
  /** Lets other events in when enough was computed since the last time; otherwise answers at once. @param work multiply-adds since the last call */
  yieldNow(work: number): Promise<void>;
  /** Always lets other events in. */
  turn(): Promise<void>;
  /** Others had their time just now: what is running began with an event. */
  arrived(): void;
}

/**
 * How the engine shares the event loop. Measured in workerd: a timer (setTimeout or setImmediate, both) costs 1.1 ms, which after every layer would be
 * more than half of the time; a message to oneself or a resolved promise costs nothing but lets no I/O in: a ping took 900 ms beside a loop that yields so.
 * @param now milliseconds
 * @param letOthersIn how this platform turns its event loop once
 */
export function createEventLoop(now: () => number, letOthersIn = timer): EventLoop {
  let last = now();
  let called = last;
  let longest = 0;
  let done = 0;
  const begin = () => {
    last = now();
    called = last;
    longest = 0;
    done = 0;
  };
  const turn = async () => {
    await letOthersIn();
    begin();
  };
  return {
    async yieldNow(work) {
      const at = now();
      longest = Math.max(longest, at - called);
      called = at;
      done += work;
      if (done >= SLICE_WORK || at - last + longest >= SLICE_MS) await turn();
    },
    turn,
    arrived: begin,
  };
}

const timer = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
