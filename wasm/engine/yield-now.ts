/** Lets the event loop run whatever else is ready, then goes on. */
export type YieldNow = () => Promise<void>;

/**
 * The cheapest way to let other events in: `setImmediate` in Node and workerd (0.01-0.05 ms), a message to oneself or a timer elsewhere. A resolved promise would
 * not do: microtasks run before any event.
 */
export const yieldNow: YieldNow = () =>
  new Promise((resolve) => {
    if (globals.setImmediate) globals.setImmediate(resolve);
    else if (globals.MessageChannel) sendToSelf(new globals.MessageChannel(), resolve);
    else setTimeout(resolve, 0);
  });

interface Channel {
  port1: { onmessage: unknown; close(): void };
  port2: { postMessage(message: unknown): void };
}

const globals = globalThis as unknown as { setImmediate?: (callback: () => void) => unknown; MessageChannel?: new () => Channel };

/** A channel for each turn: in a Worker, a channel kept from another request must not be used. */
function sendToSelf({ port1, port2 }: Channel, done: () => void): void {
  port1.onmessage = () => {
    port1.close();
    done();
  };
  port2.postMessage(null);
}
