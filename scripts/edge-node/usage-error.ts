/** A mistake of the person at the keyboard: told in one sentence, without a stack. */
export class UsageError extends Error {}

/** Why a server cannot listen at `place`, and what to do. @param code Node's */
export function cannotListen(place: string, code: string | undefined): UsageError {
  if (code === 'EADDRINUSE') return new UsageError(`${place} is in use by another program: stop that, or choose another with --port.`);
  const what: Record<string, string> = {
    EACCES: 'is not allowed to this user: choose a --port over 1023, or a proxy in front.',
    ENOTFOUND: 'is no address that is known here: choose another --host.',
    EADDRNOTAVAIL: "is not an address of this machine: choose another --host, or 0.0.0.0 for all of this machine's.",
  };
  return new UsageError(`${place} ${what[code ?? ''] ?? `cannot be used (${code}): choose another --host or --port.`}`);
}
