import type { EndpointKind } from '../../../worker/origin/pool-config.ts';

/** One and the same conversation as each kind of server tells it: reasoning, text, two parallel tool calls, logprobs, usage. Shapes as the servers write them. */
export interface Transcript {
  /** Data of the stream's events, without `[DONE]`. */
  stream: object[];
  whole: object;
  /** The body of a 400 for a prompt that is too long. */
  tooLong: object;
  /** An error in the middle of a stream, as an event. */
  errorEvent: string;
  /** Bodies of other errors, by status: a parameter that is wrong, too many requests, a failure, and a server that is not ready. */
  errors: Record<400 | 429 | 500 | 503, unknown>;
}

const pythonErrors = (wrap: (error: object) => object) => ({
  400: wrap({ message: 'temperature must be non-negative, got -1.0.', type: 'BadRequestError', param: 'temperature', code: 400 }),
  429: wrap({ message: 'Too many requests.', type: 'TooManyRequestsError', param: null, code: 429 }),
  500: wrap({ message: 'EngineCore encountered an issue.', type: 'InternalServerError', param: null, code: 500 }),
  503: wrap({ message: 'Model is loading.', type: 'ServiceUnavailableError', param: null, code: 503 }),
});

const logprobs = { content: [{ token: 'Yes', logprob: -0.5, bytes: [89, 101, 115], top_logprobs: [] }] };
const calls = [
  { id: 'call-1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
  { id: 'call-2', type: 'function', function: { name: 'time', arguments: '{}' } },
];
/** What they all name by numbers and strings of their own. */
export const toolCalls = calls;
export const tokenLogprobs = logprobs;
const usage = { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29 };
const chunks = (id: string, model: string, deltas: object[], last: object, more: object = {}) => {
  const head = { id, object: 'chat.completion.chunk', created: 1763000000, model };
  return [
    ...deltas.map((delta) => ({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...more }] })),
    { ...head, choices: [{ index: 0, delta: last, logprobs: null, finish_reason: 'tool_calls', ...more }] },
    { ...head, choices: [], usage },
  ];
};
const withLogprobs = (stream: object[]) =>
  stream.map((chunk) => {
    const [choice] = (chunk as { choices: { delta: { content?: string } }[] }).choices;
    return choice?.delta.content === 'Yes' ? { ...chunk, choices: [{ ...choice, logprobs }] } : chunk;
  });
const toolDeltas = [
  { tool_calls: [{ index: 0, id: 'call-1', type: 'function', function: { name: 'weather', arguments: '' } }] },
  { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
  { tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] },
  { tool_calls: [{ index: 1, id: 'call-2', type: 'function', function: { name: 'time', arguments: '{}' } }] },
];
const whole = (message: object) => ({
  id: 'x',
  object: 'chat.completion',
  created: 1763000000,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', ...message }, logprobs, finish_reason: 'tool_calls' }],
  usage,
});

export const transcripts: Record<EndpointKind, Transcript> = {
  openai: {
    stream: withLogprobs(
      chunks(
        'chatcmpl-1',
        'gpt',
        [
          { role: 'assistant', content: '', refusal: null },
          { reasoning_content: 'Hm.' },
          { content: 'Yes' },
          { content: '.' },
          ...toolDeltas,
        ],
        {},
      ),
    ),
    whole: whole({ content: 'Yes.', reasoning_content: 'Hm.', tool_calls: calls, refusal: null }),
    tooLong: {
      error: {
        message: "This model's maximum context length is 8192 tokens.",
        type: 'invalid_request_error',
        param: 'messages',
        code: 'context_length_exceeded',
      },
    },
    errorEvent: '{"error":{"message":"Out of order.","type":"server_error","param":null,"code":null}}',
    errors: {
      400: { error: { message: 'Invalid temperature.', type: 'invalid_request_error', param: 'temperature', code: 'invalid_value' } },
      429: { error: { message: 'Rate limit reached.', type: 'tokens', param: null, code: 'rate_limit_exceeded' } },
      500: { error: { message: 'The server had an error.', type: 'server_error', param: null, code: null } },
      503: 'overloaded',
    },
  },
  vllm: {
    stream: withLogprobs(
      chunks(
        'chatcmpl-2',
        'Qwen/Qwen3.5-9B',
        [{ role: 'assistant', content: '' }, { reasoning: 'H' }, { reasoning: 'm.' }, { content: 'Yes' }, { content: '.' }, ...toolDeltas],
        { content: '' },
        { stop_reason: null, token_ids: null },
      ),
    ),
    whole: whole({
      content: 'Yes.',
      reasoning: 'Hm.',
      tool_calls: calls,
      refusal: null,
      annotations: null,
      audio: null,
      function_call: null,
    }),
    tooLong: {
      error: {
        message:
          "This model's maximum context length is 32768 tokens. However, your prompt contains at least 32769 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=32769)",
        type: 'BadRequestError',
        param: 'input_tokens',
        code: 400,
      },
    },
    errorEvent: '{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}',
    errors: pythonErrors((error) => ({ error })),
  },
  sglang: {
    stream: withLogprobs(
      chunks(
        'a1b2c3',
        'default',
        [
          { role: 'assistant', content: '', reasoning_content: null, tool_calls: null },
          { role: null, content: null, reasoning_content: 'Hm.', tool_calls: null },
          { role: null, content: 'Yes', reasoning_content: null, tool_calls: null },
          { role: null, content: '.', reasoning_content: null, tool_calls: null },
          ...toolDeltas.map((delta) => ({ role: null, content: null, reasoning_content: null, ...delta })),
        ],
        { role: null, content: null, reasoning_content: null, tool_calls: null },
        { matched_stop: null },
      ),
    ),
    whole: whole({ content: 'Yes.', reasoning_content: 'Hm.', tool_calls: calls }),
    tooLong: {
      object: 'error',
      message: "The input (40000 tokens) is longer than the model's context length (32768 tokens).",
      type: 'BadRequestError',
      param: null,
      code: 400,
    },
    errorEvent: '{"error":{"object":"error","message":"The request was aborted.","type":"InternalServerError","param":null,"code":500}}',
    errors: pythonErrors((error) => ({ object: 'error', ...error })),
  },
  'llama-server': {
    stream: withLogprobs(
      chunks(
        'chatcmpl-3',
        'nine.gguf',
        [{ role: 'assistant', content: null }, { reasoning_content: 'Hm.' }, { content: 'Yes' }, { content: '.' }, ...toolDeltas],
        {},
        {},
      ).map((chunk) => ({ ...chunk, system_fingerprint: 'b11549' })),
    ),
    whole: { ...whole({ content: 'Yes.', reasoning_content: 'Hm.', tool_calls: calls }), timings: { prompt_n: 20, prompt_ms: 12.5 } },
    tooLong: {
      error: {
        code: 400,
        message: 'the request exceeds the available context size. try increasing the context size or enable context shift',
        type: 'exceed_context_size_error',
        n_prompt_tokens: 40000,
        n_ctx: 32768,
      },
    },
    errorEvent: '{"error":{"code":500,"message":"Compute error.","type":"server_error"}}',
    errors: {
      400: { error: { code: 400, message: '"temperature" must be a number', type: 'invalid_request_error' } },
      429: { error: { code: 429, message: 'too many requests', type: 'rate_limit_error' } },
      500: { error: { code: 500, message: 'Compute error.', type: 'server_error' } },
      503: { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
    },
  },
};
