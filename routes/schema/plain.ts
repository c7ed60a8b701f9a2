/**
 * The checks of the commonest requests by hand: what passes here passes the schema (chat.ts, message.ts) and comes out of it as it went in, which takes a tenth of the
 * time. Whatever is not plainly valid is left to the schema, which knows all of it, and says what is wrong.
 */
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const within =
  (low: number, high: number): Check =>
  (value) =>
    typeof value === 'number' && value >= low && value <= high;
const penalty = within(-2, 2);

const plainKeys = new Map<string, Check>([
  ['model', (value) => typeof value === 'string' && value !== ''],
  ['messages', (value) => Array.isArray(value) && value.length > 0 && value.every(isPlainMessage)],
  ['stream', isFlag],
  ['stream_options', isPlainOptions],
  ['max_tokens', isCount],
  ['max_completion_tokens', isCount],
  ['temperature', within(0, 2)],
  ['top_p', within(0, 1)],
  ['presence_penalty', penalty],
  ['frequency_penalty', penalty],
  ['seed', Number.isSafeInteger],
  ['user', isText],
  ['prompt_cache_key', isText],
]);

const plainRoles = new Set<unknown>(['system', 'developer', 'user', 'assistant']);

/** Whether a decoded body is plainly valid: texts only, and none but well-known parameters, all of them given as they should be. */
export function isPlainRequest(body: object): boolean {
  for (const [key, value] of Object.entries(body)) if (!plainKeys.get(key)?.(value)) return false;
  return 'model' in body && 'messages' in body;
}

function isPlainMessage(message: unknown): boolean {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return false;
  const { role, content } = message as { role?: unknown; content?: unknown };
  // No more than these two.
  return plainRoles.has(role) && typeof content === 'string' && Object.keys(message).length === 2;
}

function isPlainOptions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([key, entry]) => key === 'include_usage' && typeof entry === 'boolean');
}
