import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../routes/schema/chat.ts';
import { extractFeatures } from '../../worker/features.ts';

const features = (body: object) =>
  extractFeatures(parseChatRequest({ model: 'nearside-auto', messages: [{ role: 'user', content: 'Hi' }], ...body }));
const obstacles = (body: object) => features(body).obstacles.map(({ reason, param }) => `${reason} ${param}`);
const part = (content: unknown) => ({ messages: [{ role: 'user', content }] });

describe('features', () => {
  it('counts the bytes of all text', () => {
    expect(
      features({ messages: [{ role: 'system', content: 'é€😀' }, ...part([{ type: 'text', text: 'ab' }]).messages] }).promptBytes,
    ).toBe(2 + 3 + 4 + 2);
  });

  it.each<[string, number]>([
    ['x', 1],
    ['😀', 4],
    ['é', 2],
    ['€', 3],
  ])('counts bytes of a long prompt of %s', (character, bytes) => {
    const content = `x${character.repeat(40_000)}`;
    expect(features({ messages: [{ role: 'user', content }] }).promptBytes).toBe(1 + 40_000 * bytes);
  });

  it('looks at the text, and takes an estimate for no count', () => {
    const question = features({ messages: [{ role: 'user', content: 'What is the capital of Peru?' }] });
    expect(question).toMatchObject({ kind: 'short-answer', promptTokens: null, text: { questions: 1, language: 'en' } });
    const twice = extractFeatures(
      parseChatRequest({ model: 'nearside-auto', messages: [{ role: 'user', content: 'What is the capital of Peru?' }] }),
      2,
    );
    expect(twice.estimatedTokens).toBeGreaterThan(1.8 * question.estimatedTokens!);
  });

  it('lets max_completion_tokens win over max_tokens', () => {
    expect(features({ max_tokens: 5 })).toMatchObject({ maxTokens: 5, maxTokensParam: 'max_tokens' });
    expect(features({ max_tokens: 5, max_completion_tokens: 9 })).toMatchObject({ maxTokens: 9, maxTokensParam: 'max_completion_tokens' });
    expect(features({}).maxTokens).toBe(null);
  });

  it.each<[string, object, boolean]>([
    ['by default', {}, false],
    ['by the template switch', { chat_template_kwargs: { enable_thinking: true } }, true],
    ['off by the template switch', { chat_template_kwargs: { enable_thinking: false }, reasoning_effort: 'high' }, false],
    ['by effort', { reasoning_effort: 'low' }, true],
    ['off by effort', { reasoning_effort: 'none' }, false],
  ])('thinking %s', (_, body, expected) => {
    expect(features(body).thinking).toBe(expected);
  });

  it.each<[string, object, string[]]>([
    ['text parts', part([{ type: 'text', text: 'Hi' }]), []],
    ['an image', part([{ type: 'image_url', image_url: { url: 'data:' } }]), ['not_text messages[0].content[0].type']],
    [
      'a part with a key nobody knows',
      part([{ type: 'text', text: 'Hi', shade: 1 }]),
      ['unsupported_parameter messages[0].content[0].shade'],
    ],
    ['audio', { modalities: ['text', 'audio'], audio: { voice: 'x' } }, ['not_text audio', 'not_text modalities']],
    ['tools', { tools: [{ type: 'function' }], tool_choice: 'auto' }, ['tools tools']],
    ['no tools', { tools: [], tool_choice: 'none', parallel_tool_calls: true }, []],
    ['a format', { response_format: { type: 'json_object' } }, ['response_format response_format']],
    ['the text format', { response_format: { type: 'text' }, n: 1 }, []],
    ['two answers', { n: 2 }, ['n n']],
    ['labels', { user: 'u', metadata: { a: 'b' }, service_tier: 'auto', store: false, prompt_cache_key: 'k' }, []],
    [
      'what the edge would drop',
      { prediction: { type: 'content' }, store: true, verbosity: 'low' },
      ['unsupported_parameter prediction', 'unsupported_parameter verbosity', 'unsupported_parameter store'],
    ],
    [
      'unknown keys',
      { guided_regex: 'a+', ignore_eos: false, nothing: null },
      ['unsupported_parameter guided_regex', 'unsupported_parameter ignore_eos'],
    ],
  ])('%s', (_, body, expected) => {
    expect(obstacles(body)).toEqual(expected);
  });
});
