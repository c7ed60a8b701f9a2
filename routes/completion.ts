import type { ChatAnswer, ChatEvent, TokenLogprob, Usage } from './gateway.ts';

/** What all chunks of one answer share. */
export interface CompletionHead {
  id: string;
  /** Unix time, seconds. */
  created: number;
  model: string;
  system_fingerprint: string | null;
}

export function completionHead(answer: ChatAnswer): CompletionHead {
  const system_fingerprint = answer.body.type === 'events' ? answer.body.fingerprint : null;
  return {
    id: `chatcmpl-${crypto.randomUUID().replaceAll('-', '')}`,
    created: Math.floor(Date.now() / 1000),
    model: answer.model,
    system_fingerprint,
  };
}

/** Events of an edge answer as OpenAI's `chat.completion.chunk` objects: the role first, one finish_reason, then the usage when it was asked for. */
export async function* completionChunks(head: CompletionHead, events: AsyncIterable<ChatEvent>, includeUsage: boolean, logprobs: boolean) {
  const common = envelope(head, 'chat.completion.chunk');
  const extra = includeUsage ? { usage: null } : {};
  const chunk = (delta: object, tokens: TokenLogprob[] | undefined, finish: string | null) => ({
    ...common,
    choices: [{ index: 0, delta, logprobs: logprobs && tokens ? { content: tokens, refusal: null } : null, finish_reason: finish }],
    ...extra,
  });
  let opened = false;
  for await (const event of events) {
    if (!opened) yield chunk({ role: 'assistant', content: '' }, undefined, null);
    opened = true;
    if (event.type === 'delta') {
      if (event.reasoning) yield chunk({ reasoning_content: event.reasoning }, event.content ? undefined : event.logprobs, null);
      if (event.content || (event.logprobs?.length && !event.reasoning))
        yield chunk({ content: event.content ?? '' }, event.logprobs, null);
    } else {
      yield chunk({}, undefined, event.reason);
      if (includeUsage) yield { ...common, choices: [], usage: usageObject(event.usage) };
    }
  }
}

/** Collects an edge answer into one `chat.completion` object. */
export async function completionObject(head: CompletionHead, events: AsyncIterable<ChatEvent>, logprobs: boolean) {
  let content = '';
  let reasoning = '';
  let finish: Extract<ChatEvent, { type: 'finish' }> | null = null;
  const tokens: TokenLogprob[] = [];
  for await (const event of events) {
    if (event.type === 'finish') {
      finish = event;
      continue;
    }
    content += event.content ?? '';
    reasoning += event.reasoning ?? '';
    tokens.push(...(event.logprobs ?? []));
  }
  if (!finish) throw new Error('the answer ended without a finish');
  const message = { role: 'assistant', content, refusal: null, ...(reasoning ? { reasoning_content: reasoning } : {}) };
  return {
    ...envelope(head, 'chat.completion'),
    choices: [{ index: 0, message, logprobs: logprobs ? { content: tokens, refusal: null } : null, finish_reason: finish.reason }],
    usage: usageObject(finish.usage),
  };
}

/** The keys before `choices`, in OpenAI's order. */
function envelope(head: CompletionHead, object: string) {
  return { id: head.id, object, created: head.created, model: head.model, system_fingerprint: head.system_fingerprint };
}

function usageObject(usage: Usage) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}
