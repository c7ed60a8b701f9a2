import { describe, expect, it } from 'vitest';
import { adapters } from '../../../worker/origin/adapters.ts';
import { StreamInspector } from '../../../worker/origin/inspect.ts';

const encode = (text: string) => new TextEncoder().encode(text);
const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' };
const chunk = (delta: object, more: object = {}, finish: string | null = null) =>
  `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...more })}\n\n`;

/** An inspector that has looked at these events of a stream. */
function having(events: string[], kind: keyof typeof adapters = 'openai', choices = 1): StreamInspector {
  const seen = new StreamInspector(adapters[kind], choices);
  for (const event of events) seen.see(encode(event));
  return seen;
}

const one = chunk({ content: 'one' });

describe('events like one that has been looked at', () => {
  it.each([
    ['another text', chunk({ content: 'two' })],
    ['a text that is longer, and not ASCII', chunk({ content: 'größer als 一 🙂' })],
    ['escapes', chunk({ content: 'a "b" \\ c\n\t/' })],
    ['a text that looks like an error', chunk({ content: '"error":{"message":"no"}' })],
    ['several events', chunk({ content: 'two' }) + chunk({ content: 'three' })],
  ])('are known: %s', (_, events) => {
    const seen = having([one]);
    expect(seen.seeUsual(encode(events))).toBe(encode(events).length);
    expect(seen.tokens).toBe(1 + events.split('data: ').length - 1);
  });

  it.each([
    ['a finish', chunk({ content: 'two' }, {}, 'stop')],
    ['usage', chunk({ content: 'two' }, { usage: { prompt_tokens: 1, completion_tokens: 2 } })],
    ['an error', 'data: {"error":{"message":"no"}}\n\n'],
    ['the end', 'data: [DONE]\n\n'],
    ['no text', chunk({ content: '' })],
    ['another key', chunk({ reasoning_content: 'two' })],
    ['another line end', chunk({ content: 'two' }).replaceAll('\n', '\r\n')],
    ['a name', `event: error\n${one}`],
    ['broken JSON', one.replace('"one"', '"two"x')],
    ['a control character in the text', one.replace('one', 'o\u0001e')],
    ['an escape that JSON does not know', one.replace('one', 'o\\xe')],
    ['an escape that needs to be read', one.replace('one', 'o\\u12')],
    ['a text that does not end', one.slice(0, one.indexOf('one') + 2)],
    ['an event that does not end', chunk({ content: 'two' }).slice(0, -1)],
  ])('are no others: %s', (_, event) => {
    const seen = having([one]);
    expect(seen.seeUsual(encode(event))).toBe(0);
    // As many as are known before it.
    expect(seen.seeUsual(encode(one + event))).toBe(one.length);
    expect(seen.tokens).toBe(2);
  });

  it.each([
    ['of a stream of one finish', [chunk({ content: 'one' }, {}, 'stop')]],
    ['with usage', [chunk({ content: 'one' }, { usage: { prompt_tokens: 1, completion_tokens: 1 } })]],
    ['after [DONE]', [one, 'data: [DONE]\n\n']],
    ['after an error', [one, 'data: {"error":{"message":"no"}}\n\n']],
    ['whose words stand in another place, too', [chunk({ content: 'one' }).replace('{"id"', '{"note":{"content":"one"},"id"')]],
    [
      'of several choices',
      [`data: ${JSON.stringify({ ...head, choices: [0, 1].map((index) => ({ index, delta: { content: 'one' } })) })}\n\n`],
    ],
    ['under a name', [`event: x\n${one}`]],
  ])('are not taken from one %s', (_, events) => {
    expect(having(events).seeUsual(encode(events[0]!))).toBe(0);
  });

  it('are not taken from one that the adapter has changed', () => {
    const thought = chunk({ reasoning: 'one' });
    expect(having([thought], 'vllm').seeUsual(encode(thought))).toBe(0);
  });

  it('follow what changes in the course of a stream', () => {
    const later = (text: string) => chunk({ content: text }, { created: 2 });
    const seen = having([one]);
    expect(seen.seeUsual(encode(later('two')))).toBe(0);
    seen.see(encode(later('two')));
    expect(seen.seeUsual(encode(later('three')))).toBe(encode(later('three')).length);
  });
});
