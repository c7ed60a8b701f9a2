import { describe, expect, it } from 'vitest';
import { decide } from '../../../worker/routing/decide.ts';
import type { Estimates } from '../../../worker/routing/estimates.ts';
import { policyOf } from '../../../worker/routing/policies.ts';
import type { Decision, Features, Nowhere, Obstacle, Refusal } from '../../../worker/routing/types.ts';
import { edgeEstimate, estimates, failing, limits, originEstimate, plain } from './estimates.ts';

const policy = policyOf('balanced', limits);
const failure = { status: 503, code: 'origin_unavailable', message: 'Down.', retryAfter: 7 };
const refusal = (code: Refusal['code'], promptTokens: number | null = null): Refusal => ({
  code,
  message: `${code}.`,
  promptTokens,
  retryAfter: 3,
});
const obstacle = (reason: Obstacle['reason'], param: string): Partial<Features> => ({ obstacles: [{ reason, param }] });

const edge = edgeEstimate();
const origin = originEstimate();
const hanging = originEstimate({ hanging: true });
const out = originEstimate({ out: true });
const other = originEstimate({ model: 'other' });
const both = estimates({ edge, origins: [origin] });
const onlyEdge = estimates({ edge, origins: [] });
const onlyOrigin = estimates({ edge: null, origins: [origin] });
const originDown = estimates({ edge, origins: [failing(failure)] });
const edgeRefused = (code: Refusal['code'], origins: Estimates['origins'] = []) =>
  estimates({ edge: edgeEstimate({ refusal: refusal(code, 300) }), origins });

const short = (decision: Decision) =>
  decision.route === 'none' ? `${decision.status} ${decision.code}` : `${decision.route}: ${decision.reasons.join(', ')}`;

describe('nearside-auto', () => {
  it.each<[string, Partial<Features>, Estimates, string]>([
    ['small text', {}, both, 'edge: cheaper, gpu_idle'],
    ['the limits themselves', { maxTokens: 128, promptBytes: 16 * 256 }, both, 'edge: cheaper, gpu_idle'],
    ['one token over', { maxTokens: 129 }, both, 'origin: max_tokens'],
    ['obviously too long a prompt', { promptBytes: 16 * 256 + 1 }, both, 'origin: prompt_too_long'],
    ['a prompt the edge counted', {}, edgeRefused('prompt_too_long', [origin]), 'origin: prompt_too_long'],
    ['a full queue', {}, edgeRefused('queue_full', [origin]), 'origin: queue_full'],
    ['an edge that is down', {}, edgeRefused('model_unavailable', [origin]), 'origin: model_unavailable'],
    ['messages the template rejects', {}, edgeRefused('bad_request', [origin]), 'origin: bad_request'],
    ['no limit', { maxTokens: null }, both, 'origin: no_max_tokens'],
    ['no limit, origin missing', { maxTokens: null }, onlyEdge, 'edge: no_origin, edge_max_tokens_cap'],
    ['no limit, origin down', { maxTokens: null }, originDown, 'edge: origin_unavailable, edge_max_tokens_cap'],
    ['an image', obstacle('not_text', 'messages[0].content[1].type'), both, 'origin: not_text'],
    ['tools', obstacle('tools', 'tools'), both, 'origin: tools'],
    ['tool results', { toolHistory: true }, both, 'origin: tools'],
    ['a format', obstacle('response_format', 'response_format'), both, 'origin: response_format'],
    ['several answers', obstacle('n', 'n'), both, 'origin: n'],
    ['a parameter nobody knows', obstacle('unsupported_parameter', 'guided_regex'), both, 'origin: unsupported_parameter'],
    ['thinking', { thinking: true }, both, 'origin: thinking'],
    ['all at once', { ...obstacle('n', 'n'), thinking: true, maxTokens: 999 }, both, 'origin: n, thinking, max_tokens'],
    ['no edge', {}, onlyOrigin, 'origin: no_edge'],
    ['no origin', {}, onlyEdge, 'edge: no_origin'],
    ['origin down', {}, originDown, 'edge: origin_unavailable'],
    ['origin that hangs', {}, estimates({ edge, origins: [hanging] }), 'edge: origin_unavailable'],
    ['origin that hangs, tools: it may be back', obstacle('tools', 'tools'), estimates({ edge, origins: [hanging] }), 'origin: tools'],
    ['origin that hangs, queue full', {}, edgeRefused('queue_full', [hanging]), 'origin: queue_full'],
    ['one of two that hangs, tools', obstacle('tools', 'tools'), estimates({ edge, origins: [hanging, other] }), 'origin: tools'],
    [
      'origin that is out: it says so at once',
      { maxTokens: null },
      estimates({ edge, origins: [out] }),
      'origin: no_max_tokens, origin_maybe_down',
    ],
    ['origin that is out, tools', obstacle('tools', 'tools'), estimates({ edge, origins: [out] }), 'origin: tools, origin_maybe_down'],
    ['one of two that is out, tools', obstacle('tools', 'tools'), estimates({ edge, origins: [out, other] }), 'origin: tools'],
    ['origin being started', {}, estimates({ edge, origins: [failing({ ...failure, code: 'origin_cold' })] }), 'edge: origin_cold'],
    ['origin down, tools', obstacle('tools', 'tools'), originDown, '503 origin_unavailable'],
    ['no origin, tools', obstacle('tools', 'tools'), onlyEdge, '503 no_route'],
    ['no origin, queue full', {}, edgeRefused('queue_full'), '503 no_route'],
    ['no origin, rejected messages', {}, edgeRefused('bad_request'), '400 invalid_value'],
    ['both down', {}, edgeRefused('model_unavailable', [failing(failure)]), '503 origin_unavailable'],
    ['nothing at all', {}, estimates({ edge: null, origins: [] }), '503 no_route'],
  ])('%s', (_, features, state, expected) => {
    expect(short(decide({ ...plain, ...features }, state, policy))).toBe(expected);
  });

  it('says when to come back, and why it could not answer', () => {
    expect(decide(plain, edgeRefused('queue_full'), policy)).toMatchObject({ retryAfter: 3, reasons: ['no_origin', 'queue_full'] });
    expect(decide({ ...plain, maxTokens: 999 }, onlyEdge, policy)).toMatchObject({
      retryAfter: null,
      reasons: ['no_origin', 'max_tokens'],
    });
    expect(decide(plain, edgeRefused('prompt_too_long'), policy)).toMatchObject({ code: 'no_route', retryAfter: null });
    expect(decide({ ...plain, maxTokens: 999 }, originDown, policy)).toMatchObject({ retryAfter: 7, message: 'Down.' });
  });
});

describe('the edge model by its name', () => {
  it.each<[string, Partial<Features>, Estimates, string]>([
    ['plain', {}, both, 'edge: edge_model_requested'],
    ['no limit', { maxTokens: null }, both, 'edge: edge_model_requested, edge_max_tokens_cap'],
    ['thinking, which it can', { thinking: true }, both, 'edge: edge_model_requested'],
    ['tool results, which it can read', { toolHistory: true }, both, 'edge: edge_model_requested'],
    ['an unknown parameter', obstacle('unsupported_parameter', 'guided_regex'), both, '400 unsupported_parameter'],
    ['tools', obstacle('tools', 'tools'), both, '400 unsupported_parameter'],
    ['more tokens than it gives', { maxTokens: 129 }, both, '400 max_tokens_too_large'],
    ['a prompt no vocabulary makes short', { promptBytes: 128 * 256 + 1 }, both, '400 context_length_exceeded'],
    ['a dense prompt, which it counts itself', { promptBytes: 16 * 256 + 1 }, both, 'edge: edge_model_requested'],
    ['a prompt it counted', {}, edgeRefused('prompt_too_long', [origin]), '400 context_length_exceeded'],
    ['a full queue, never elsewhere', {}, edgeRefused('queue_full', [origin]), '503 queue_full'],
    ['down', {}, edgeRefused('model_unavailable', [origin]), '503 model_unavailable'],
  ])('%s', (_, features, state, expected) => {
    expect(short(decide({ ...plain, model: 'small', ...features }, state, policy))).toBe(expected);
  });

  it('says of an image that it is one too many, and not that its type is', () => {
    const asked = { ...plain, model: 'small', ...obstacle('not_text', 'messages[0].content[1].type') };
    const { message, param } = decide(asked, both, policy) as Nowhere;
    expect(message).toContain('text only, not messages[0].content[1];');
    expect(param).toBe('messages[0].content[1].type');
  });

  it('names the parameter and the limit', () => {
    const asked = { ...plain, model: 'small', maxTokens: 500, maxTokensParam: 'max_completion_tokens' as const };
    expect(decide(asked, both, policy)).toMatchObject({ param: 'max_completion_tokens', message: expect.stringContaining('128') });
    // Clients that go by OpenAI's words (LiteLLM) know it by these.
    expect(decide({ ...plain, model: 'small' }, edgeRefused('prompt_too_long'), policy)).toMatchObject({
      message: expect.stringMatching(/300 .* this model's maximum context length is 256 tokens/),
    });
    // Its memory is for less than the limit here.
    const own = { ...refusal('prompt_too_long'), promptTokens: 200, message: 'The prompt has 200 tokens; the edge model takes 191 here.' };
    const short = estimates({ edge: edgeEstimate({ refusal: own }) });
    expect(decide({ ...plain, model: 'small' }, short, policy)).toMatchObject({ code: 'context_length_exceeded', message: own.message });
    expect(decide({ ...plain, model: 'small', ...obstacle('tools', 'tools') }, both, policy)).toMatchObject({ param: 'tools' });
  });
});

describe('other names', () => {
  it.each<[string, string, Estimates, string]>([
    ['the origin model', 'big', both, 'origin: origin_model_requested'],
    ['the origin model, down: never elsewhere', 'big', originDown, '503 origin_unavailable'],
    ['a model nobody has', 'gpt-4', both, '404 model_not_found'],
    ['the edge model without an edge', 'small', onlyOrigin, '404 model_not_found'],
    [
      'any name while the edge cannot say its own',
      'small',
      estimates({ edge: edgeEstimate({ model: null, refusal: refusal('model_unavailable') }), origins: [origin] }),
      '503 model_unavailable',
    ],
  ])('%s', (_, model, state, expected) => {
    expect(short(decide({ ...plain, model }, state, policy))).toBe(expected);
  });
});
