/**
 * What `work` comes to; at an abort the signal's reason at once, and what `work` comes to then is nobody's concern any more.
 * @param stop called at the abort: has the work end
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined, stop: () => void): Promise<T> {
  if (!signal) return work;
  const aborted = Promise.withResolvers<never>();
  const listen = () => {
    aborted.reject(signal.reason);
    stop();
  };
  signal.addEventListener('abort', listen, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', listen);
  }
}
