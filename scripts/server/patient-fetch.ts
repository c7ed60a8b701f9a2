/** Where Node's own fetch finds its dispatcher: https://undici.nodejs.org/#/docs/api/GlobalInstallation. */
const DISPATCHER = Symbol.for('undici.globalDispatcher.1');

interface Dispatcher {
  constructor: new (options: { headersTimeout: number; bodyTimeout: number }) => Dispatcher;
}

/** Node's fetch gives up after 300 s without a byte; how long the gateway waits is for its settings to say, as under workerd. */
export async function waitAsSettingsSay(): Promise<void> {
  const global = globalThis as { [DISPATCHER]?: Dispatcher };
  // It is made by the first call.
  await fetch('data:,');
  const Agent = global[DISPATCHER]?.constructor;
  if (Agent) global[DISPATCHER] = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
}
