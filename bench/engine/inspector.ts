/** A connection to the inspector (Chrome DevTools Protocol) of an isolate. */
export interface Inspector {
  send<T>(method: string, params?: object): Promise<T>;
  close(): void;
}

/**
 * workerd's inspector answers Runtime and Profiler; it leaves HeapProfiler.collectGarbage without an answer.
 * @param url of the server that lists its isolates at /json. @param name the Worker's
 */
export async function openInspector(url: string, name: string): Promise<Inspector> {
  const socket = new WebSocket(await targetOf(url, name));
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error(`The inspector at ${url} does not answer.`)), { once: true });
  });
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(String(data)) as { id?: number; result: never; error?: { message: string } };
    const call = id === undefined ? undefined : waiting.get(id);
    if (id === undefined || !call) return;
    waiting.delete(id);
    if (error) call.reject(new Error(error.message));
    else call.resolve(result);
  });
  let last = 0;
  return {
    send: (method, params = {}) =>
      new Promise((resolve, reject) => {
        last += 1;
        waiting.set(last, { resolve, reject });
        socket.send(JSON.stringify({ id: last, method, params }));
      }),
    close: () => socket.close(),
  };
}

async function targetOf(url: string, name: string): Promise<string> {
  const list = new URL('/json', url);
  list.protocol = 'http:';
  const targets = (await (await fetch(list)).json()) as { id: string; webSocketDebuggerUrl: string }[];
  const target = targets.find(({ id }) => id === name || id.endsWith(`:${name}`));
  if (!target) throw new Error(`The inspector at ${list} lists no isolate of ${name}.`);
  return target.webSocketDebuggerUrl;
}
