/** The promise's value, or null when it takes longer than `ms`. The promise itself goes on. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  const { promise: expired, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(resolve, ms, null);
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
