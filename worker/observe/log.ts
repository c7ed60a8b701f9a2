import { ApiError } from '../../routes/errors.ts';

/** One JSON line per event for the platform's log. Never a prompt, an answer or a key: only names, numbers and our own error messages. */
export function log(event: string, fields: Record<string, string | number | boolean | null>): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/** An error with its cause, for a log line. Of one made for a client the code only: its message may quote an origin, and that may quote the prompt. */
export function errorFields(error: unknown): { error: string; cause: string | null } {
  const cause = error instanceof Error && error.cause !== undefined ? String(error.cause) : null;
  if (error instanceof ApiError) return { error: `${error.name}: ${error.code}`, cause };
  return { error: error instanceof Error ? `${error.name}: ${error.message}` : String(error), cause };
}
