import { EventSourceParserStream } from 'eventsource-parser/stream';

export interface ChatChunk {
  choices: { delta: { role?: string; content?: string | null }; finish_reason: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
  error?: { message: string; type: string; param: string | null; code: string | null };
}

/** Asks for a chat completion at `url` (without /v1). */
export function postChat(url: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
}

/** The data of a response's server-sent events, `[DONE]` included, as they arrive; comments are left out. */
export async function* sseData(response: Response): AsyncGenerator<string> {
  const events = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const event of events) yield event.data;
}

/** A whole streamed answer: its chunks, its text, and whether `[DONE]` closed it. */
export async function readStream(response: Response): Promise<{ chunks: ChatChunk[]; text: string; done: boolean }> {
  const chunks: ChatChunk[] = [];
  let done = false;
  for await (const data of sseData(response)) {
    if (data === '[DONE]') done = true;
    else chunks.push(JSON.parse(data));
  }
  const text = chunks.map((chunk) => chunk.choices?.[0]?.delta.content ?? '').join('');
  return { chunks, text, done };
}
