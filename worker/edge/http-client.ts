import { z } from 'zod';
import { readCalibration } from '../../models/capability/calibration.ts';
import { readNdjson } from './ndjson.ts';
import type { EdgeAnswer, EdgeClient, EdgeEvent, EdgeRefusal, EdgeRequest, EdgeStatus } from './protocol.ts';

const refusalSchema: z.ZodType<EdgeRefusal> = z.object({
  refused: z.enum(['prompt_too_long', 'queue_full', 'model_unavailable', 'bad_request']),
  message: z.string(),
  promptTokens: z.number().nullable(),
  retryAfter: z.number().nullable(),
  param: z.string().nullish(),
  // estimateEdge believes only what it can check.
  figures: z.looseObject({}).optional(),
});

/**
 * Calls an engine that runs as a server of its own (npm run edge-node).
 * @param url where it listens
 * @param key the secret it asks for, or null
 */
export function createHttpEdgeClient(url: string, key: string | null, request: typeof fetch = fetch): EdgeClient {
  const base = url.replace(/\/+$/, '');
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  return createFetchEdgeClient((path, init) => request(`${base}${path}`, { ...init, headers, redirect: 'manual' }));
}

/** Calls an engine by whatever fetches a path of it. */
export function createFetchEdgeClient(call: (path: string, init?: RequestInit) => Promise<Response>): EdgeClient {
  return {
    async generate(request, signal) {
      signal.throwIfAborted();
      let response: Response;
      try {
        response = await call('/generate', { method: 'POST', body: JSON.stringify(request satisfies EdgeRequest), signal });
      } catch (error) {
        signal.throwIfAborted();
        return unavailable(error);
      }
      if (!response.ok || !response.body) return readRefusal(response);
      return { accepted: true, events: readEvents(abortable(response.body, signal), signal) };
    },
    async status() {
      const response = await call('/status');
      if (!response.ok) throw new Error(`The edge model's status could not be read: status ${response.status}.`);
      const status = (await response.json()) as EdgeStatus;
      return { ...status, calibration: readCalibration(status.calibration) };
    },
  };
}

async function readRefusal(response: Response): Promise<EdgeAnswer> {
  const text = await response.text();
  try {
    return { accepted: false, ...refusalSchema.parse(JSON.parse(text)) };
  } catch {
    return unavailable(new Error(`status ${response.status}`));
  }
}

const unavailable = (error: unknown): EdgeAnswer => ({
  accepted: false,
  refused: 'model_unavailable',
  message: `The edge model could not be reached: ${error instanceof Error ? error.message : String(error)}.`,
  promptTokens: null,
  retryAfter: 1,
});

/** Ends after `finish` or `error`; an answer that breaks off ends with an `error` of code `edge_disconnected`. Throws the signal's reason when aborted. */
async function* readEvents(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<EdgeEvent, void, void> {
  const values = readNdjson(body);
  try {
    for await (const value of values) {
      signal.throwIfAborted();
      const event = value as EdgeEvent;
      yield event;
      if (event.type === 'finish' || event.type === 'error') return;
    }
  } catch (error) {
    signal.throwIfAborted();
    yield disconnected(error);
    return;
  }
  signal.throwIfAborted();
  yield disconnected(new Error('the stream ended early'));
}

const disconnected = (error: unknown): EdgeEvent => ({
  type: 'error',
  code: 'edge_disconnected',
  message: `The edge model's answer broke off: ${error instanceof Error ? error.message : String(error)}.`,
});

/** The same stream, cancelled at the source as soon as `signal` aborts, whether or not anyone is reading. */
function abortable(body: ReadableStream<Uint8Array>, signal: AbortSignal): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const onAbort = () => {
          controller.error(signal.reason);
          reader.cancel(signal.reason).catch(() => {});
        };
        if (signal.aborted) onAbort();
        else signal.addEventListener('abort', onAbort, { once: true });
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (signal.aborted) return;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
