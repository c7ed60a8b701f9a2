import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../routes/schema/chat.ts';
import { isPlainRequest } from '../../routes/schema/plain.ts';

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hello?' },
];
const plain = { model: 'pool', messages };

/** The schema's word alone: a parameter that is not plain, and that the schema allows, has it asked. */
const bySchema = (body: object) => parseChatRequest({ ...body, n: 1 });

const odd: unknown[] = [
  null,
  true,
  '',
  'x',
  0,
  -1,
  1.5,
  2,
  3,
  1e300,
  -1e300,
  Number.POSITIVE_INFINITY,
  [],
  ['x'],
  {},
  { include_usage: 1 },
];
const keys = [
  ...['model', 'messages', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'temperature', 'top_p'],
  ...['presence_penalty', 'frequency_penalty', 'seed', 'user', 'prompt_cache_key', 'stop', 'tools', '__proto__', 'constructor'],
];

describe('a plainly valid request', () => {
  it('comes out as the schema would have it', () => {
    const body = { ...plain, stream: true, stream_options: { include_usage: true }, temperature: 0.7, max_tokens: 20, seed: 7, user: 'me' };
    expect(isPlainRequest(body)).toBe(true);
    const { raw, body: checked, ...rest } = bySchema(body);
    expect(parseChatRequest(body)).toEqual({ ...rest, raw: body, body });
    expect(checked).toEqual({ ...body, n: 1 });
  });

  it('is never one that the schema refuses, or finds something unknown in', () => {
    let plainOnes = 0;
    for (const key of keys) {
      for (const value of odd) {
        const body = JSON.parse(JSON.stringify({ ...plain, stream: true, [key]: value }));
        if (!isPlainRequest(body)) continue;
        plainOnes++;
        expect(bySchema(body)).toMatchObject({ unknown: [] });
      }
    }
    expect(plainOnes).toBeGreaterThan(10);
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
