import { z } from 'zod';
import { ApiError } from '../errors.ts';
import { knownMessageKeys, messageSchema } from './message.ts';
import { isPlainRequest } from './plain.ts';

const integer = (min: number, max = Number.MAX_SAFE_INTEGER) => z.int().min(min).max(max);
const number = (min: number, max: number) => z.number().min(min).max(max);
const anyObject = z.looseObject({});

const streamOptions = z.looseObject({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() });

/**
 * OpenAI's chat completions request, and the sampling parameters that vLLM and llama-server share. `null` means "not given", as at OpenAI. Keys that are not
 * named here are kept: see `ChatRequest.unknown`.
 */
const bodySchema = z.looseObject({
  model: z
    .string({ error: (issue) => (issue.input === undefined ? 'model is required' : 'model must be a string') })
    .min(1, { error: 'model must not be empty' }),
  messages: z
    .array(messageSchema, { error: (issue) => (issue.input === undefined ? 'messages is required' : 'messages must be an array') })
    .min(1, { error: 'messages must not be empty' }),
  stream: z.boolean().nullish(),
  stream_options: streamOptions.nullish(),
  max_tokens: integer(1).nullish(),
  max_completion_tokens: integer(1).nullish(),
  n: integer(1, 128).nullish(),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1)).max(4)], {
      error: 'stop must be a string or an array of up to 4 non-empty strings',
    })
    .nullish(),
  // Sampling
  temperature: number(0, 2).nullish(),
  top_p: number(0, 1).nullish(),
  presence_penalty: number(-2, 2).nullish(),
  frequency_penalty: number(-2, 2).nullish(),
  seed: z.int().nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d+$/, { error: 'logit_bias maps token ids to numbers' }), number(-100, 100), {
      error: 'logit_bias maps token ids to numbers',
    })
    .nullish(),
  top_k: integer(-1).nullish(),
  min_p: number(0, 1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: integer(0, 20).nullish(),
  // Templates and thinking
  reasoning_effort: z.string().nullish(),
  chat_template_kwargs: anyObject.nullish(),
  // What only an origin can do
  tools: z.array(anyObject).nullish(),
  tool_choice: z.union([z.string(), anyObject]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  functions: z.array(anyObject).nullish(),
  function_call: z.union([z.string(), anyObject]).nullish(),
  response_format: z.looseObject({ type: z.string() }).nullish(),
  modalities: z.array(z.string()).nullish(),
  audio: anyObject.nullish(),
  prediction: anyObject.nullish(),
  web_search_options: anyObject.nullish(),
  verbosity: z.string().nullish(),
  store: z.boolean().nullish(),
  // Labels without influence on the answer
  user: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
  prompt_cache_retention: z.string().nullish(),
  metadata: anyObject.nullish(),
  service_tier: z.string().nullish(),
});

const knownKeys = Object.keys(bodySchema.shape);
const knownStreamOptions = Object.keys(streamOptions.shape);

export type ChatParameters = z.infer<typeof bodySchema>;

export interface ChatRequest {
  body: ChatParameters;
  /** The body as the client sent it, for an origin. */
  raw: Record<string, unknown>;
  /** Parameters this gateway does not know, as paths (`foo`, `messages[0].bar`): an origin may, the edge model does not. */
  unknown: string[];
  stream: boolean;
  includeUsage: boolean;
}

/** Validates a decoded body. Throws a 400 `ApiError` that names the parameter at fault. */
export function parseChatRequest(input: unknown): ChatRequest {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ApiError(400, 'invalid_request', 'The body must be a JSON object with model and messages.');
  }
  const plain = isPlainRequest(input);
  const body = plain ? (input as ChatParameters) : checked(input);
  const stream = body.stream === true;
  if (body.stream_options && !stream) {
    throw new ApiError(400, 'invalid_value', 'stream_options is only allowed together with stream: true.', { param: 'stream_options' });
  }
  if (isGiven(body.top_logprobs) && body.logprobs !== true) {
    throw new ApiError(400, 'invalid_value', 'top_logprobs needs logprobs: true.', { param: 'top_logprobs' });
  }
  return {
    body,
    raw: input as Record<string, unknown>,
    unknown: plain ? [] : unknownParameters(body),
    stream,
    includeUsage: body.stream_options?.include_usage === true,
  };
}

function checked(input: object): ChatParameters {
  const parsed = bodySchema.safeParse(input);
  if (!parsed.success) throw invalid(parsed.error.issues[0]!, input);
  return parsed.data;
}

function invalid(issue: z.core.$ZodIssue, input: object): ApiError {
  const param = pathOf(issue.path);
  const missing = issue.path.length === 1 && !(String(issue.path[0]) in input);
  const message = missing ? `The parameter ${param} is required.` : `Invalid value for ${param}: ${issue.message}.`;
  return new ApiError(400, missing ? 'missing_required_parameter' : 'invalid_value', message, { param });
}

/** ['messages', 0, 'role'] -> `messages[0].role` */
function pathOf(path: PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i ? '.' : ''}${String(key)}`)).join('');
}

function unknownParameters(body: ChatParameters): string[] {
  const found = unknownKeys(body, knownKeys);
  for (const key of unknownKeys(body.stream_options ?? {}, knownStreamOptions)) found.push(`stream_options.${key}`);
  body.messages.forEach((message, i) => {
    for (const key of unknownKeys(message, knownMessageKeys)) found.push(`messages[${i}].${key}`);
  });
  return found;
}

/** Clients echo an assistant message with `annotations: []` and the like: an empty value asks for nothing. */
function unknownKeys(value: object, known: string[]): string[] {
  return Object.entries(value)
    .filter(([key, entry]) => !known.includes(key) && isGiven(entry) && !(Array.isArray(entry) && entry.length === 0))
    .map(([key]) => key);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
