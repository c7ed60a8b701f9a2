import { describe, expect, it } from 'vitest';
import { ApiError } from '../../routes/errors.ts';
import { type ChatRequest, parseChatRequest } from '../../routes/schema/chat.ts';
import { isPlainRequest } from '../../routes/schema/plain.ts';
import { randomIntegers } from '../support/random-text.ts';

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hello?' },
];
const plain = { model: 'pool', messages };

/** The schema's word alone: a parameter that is not plain, and that the schema allows, has it asked. */
const bySchema = (body: object) => parseChatRequest({ ...body, n: 1 });

/** What a parameter is sent as, in JSON: nearly always as it should be, so that many requests are plain. */
const usual: Record<string, string[]> = {
  model: ['"pool"', '"\\ud800"', '" "'],
  stream: ['true', 'false'],
  stream_options: ['{}', '{"include_usage":true}', '{"include_usage":false,"include_usage":true}', '{"include_usage":true,"mood":false}'],
  max_tokens: ['1', '20', '9007199254740991', '1e3', '2.0'],
  max_completion_tokens: ['1', '9007199254740991'],
  temperature: ['0', '-0', '-0.0', '2', '5e-324', '1.9999999999999998', '1e-400'],
  top_p: ['0', '1', '-0', '0.95'],
  presence_penalty: ['-2', '2', '-0', '0.1'],
  frequency_penalty: ['-2', '2', '0'],
  seed: ['0', '-0', '-9007199254740991', '9007199254740991', '7'],
  user: ['""', '"me"', '"\\udc00"'],
  prompt_cache_key: ['""', '"k"'],
};
const odd = `
  null true "" "x" "1" 0 -1 1.5 3 2.0000000000000004 -2.0000000000000004 9007199254740992 -9007199254740992 1e300 1e400 -1e400
  [] ["x"] [null] {} {"include_usage":null} {"include_usage":1} {"__proto__":{}} {"mood":[]}`
  .trim()
  .split(/\s+/);
/** Neither plain nor always refused. */
const others = ['stop', 'tools', 'metadata', 'mood', '__proto__', 'constructor', 'toString', 'hasOwnProperty', ''];
const oddMessages = `
  null "x" [] ["user","x"] {} {"role":"user"} {"content":"x"} {"role":"user","content":null} {"role":"assistant","content":null}
  {"role":"User","content":"x"} {"role":["user"],"content":"x"} {"role":"user","name":"x"} {"role":"function","content":"x"}
  {"role":"tool","content":"x"} {"role":"tool","content":"x","tool_call_id":"1"}
  {"role":"user","content":[]} {"role":"user","content":[{"type":"text","text":"x"}]}
  {"role":"user","content":"x","name":null} {"role":"user","content":"x","annotations":[]} {"role":"user","content":"x","mood":1}
  {"role":"user","content":"x","__proto__":{}} {"__proto__":{"role":"user"},"content":"x"} {"role":"user","content":"x","":0}`
  .trim()
  .split(/\s+/);
const texts = ['""', '"Hello?"', '"\\ud83d"', '"\\u0000"', '"😀"'];

/** The text of a request, with now and then something odd, and a key twice. */
function randomRequest(below: (limit: number) => number): string {
  const one = (list: string[]) => list[below(list.length)]!;
  const message = () => `{"role":"${one(['system', 'developer', 'user', 'assistant'])}","content":${one(texts)}}`;
  const messages = () => Array.from({ length: below(20) ? 1 + below(3) : 0 }, () => (below(20) ? message() : one(oddMessages)));
  const entries = below(40) ? [`"messages":[${messages()}]`] : [`"messages":${one(odd)}`];
  if (below(40)) entries.push(`"model":${one(usual.model!)}`);
  for (let count = below(6); count > 0; count--) {
    const key = below(20) ? one(Object.keys(usual)) : one(others);
    entries.splice(
      below(entries.length + 1),
      0,
      `${JSON.stringify(key)}:${Object.hasOwn(usual, key) && below(10) ? one(usual[key]!) : one(odd)}`,
    );
  }
  return `{${entries}}`;
}

/** What becomes of a request, a refusal as its status and body. */
function outcomeOf(parse: () => ChatRequest): object {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, ...error.body() };
    throw error;
  }
}

/** Keys in one order, -0 and infinities told apart, and half a surrogate pair escaped: a test's report cannot carry it. */
function exactly(value: object): string {
  return JSON.stringify(value, (_, entry) => {
    if (typeof entry === 'number') return `number ${Object.is(entry, -0) ? '-0' : entry}`;
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return entry === undefined ? 'undefined' : entry;
    return Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1));
  });
}

describe('a plainly valid request', () => {
  it('comes out as the schema would have it', () => {
    const body = { ...plain, stream: true, stream_options: { include_usage: true }, temperature: 0.7, max_tokens: 20, seed: 7, user: 'me' };
    expect(isPlainRequest(body)).toBe(true);
    const { raw, body: checked, ...rest } = bySchema(body);
    expect(parseChatRequest(body)).toEqual({ ...rest, raw: body, body });
    expect(checked).toEqual({ ...body, n: 1 });
  });

  it('comes out as the schema would have it, whatever there is in it, and so does every other', () => {
    const below = randomIntegers(6);
    const counts = { plain: 0, accepted: 0, refused: 0 };
    for (let i = 0; i < 5_000; i++) {
      const text = randomRequest(below);
      const outcome = outcomeOf(() => parseChatRequest(JSON.parse(text)));
      const slow = outcomeOf(() => {
        const { body, raw, ...rest } = bySchema(JSON.parse(text));
        const { n: _, ...bodyAsSent } = body;
        const { n: __, ...rawAsSent } = raw;
        return { ...rest, body: bodyAsSent, raw: rawAsSent } as ChatRequest;
      });
      expect(exactly(outcome), text).toBe(exactly(slow));
      counts[isPlainRequest(JSON.parse(text)) ? 'plain' : 'status' in outcome ? 'refused' : 'accepted']++;
    }
    expect(Math.min(...Object.values(counts)), JSON.stringify(counts)).toBeGreaterThan(300);
  });

  it.each<[string, unknown]>([
    ['a role that is none', { role: 'robot', content: 'x' }],
    ['a tool that does not say what it answers', { role: 'tool', content: 'x' }],
    ['no content', { role: 'user' }],
    ['parts', { role: 'user', content: [{ type: 'text', text: 'x' }] }],
    ['what nobody knows', { role: 'user', content: 'x', mood: 'good' }],
    ['no object', 'x'],
    ['nothing', null],
    ['a list', ['user', 'x']],
  ])('has no message with %s', (_, message) => {
    expect(isPlainRequest({ ...plain, messages: [...messages, message] })).toBe(false);
  });

  it('has a model and messages', () => {
    expect(isPlainRequest({ model: 'pool' })).toBe(false);
    expect(isPlainRequest({ messages })).toBe(false);
    expect(isPlainRequest({ ...plain, messages: [] })).toBe(false);
  });

  it('is refused by the rules across parameters all the same', () => {
    expect(() => parseChatRequest({ ...plain, stream_options: { include_usage: true } })).toThrow('stream: true');
  });
});
