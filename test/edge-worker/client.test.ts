import { describe, expect, it } from 'vitest';
import { createEdgeClient } from '../../worker/edge/client.ts';
import type { EdgeEvent, EdgeRequest } from '../../worker/edge/protocol.ts';

const never = new AbortController().signal;
const request = {} as EdgeRequest;

/** A client of an object that answers like this. */
const clientOf = (fetch: (url: string, init?: RequestInit) => Promise<Response>) =>
  createEdgeClient({ idFromName: (name: string) => ({ name }), get: () => ({ fetch }) } as never, 'model:region:0');

/** A body that comes in these pieces and then ends, or breaks. */
function body(pieces: string[], breaks = false): ReadableStream<Uint8Array> {
  const left = pieces.map((piece) => new TextEncoder().encode(piece));
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece) controller.enqueue(piece);
      else if (breaks) controller.error(new Error('connection lost'));
      else controller.close();
    },
  });
}

async function eventsOf(stream: ReadableStream<Uint8Array>): Promise<EdgeEvent[]> {
  const answer = await clientOf(async () => new Response(stream)).generate(request, never);
  if (!answer.accepted) throw new Error(answer.message);
  const events: EdgeEvent[] = [];
  for await (const event of answer.events) events.push(event);
  return events;
}

const START = '{"type":"start","model":"é","promptTokens":1,"cachedTokens":0,"queueMs":0}\n';
const FINISH = '{"type":"finish","reason":"stop"}\n';

describe('events', () => {
  it('are read however the stream is cut, even inside a character', async () => {
    const bytes = new TextEncoder().encode(START + FINISH);
    for (const size of [1, 7, bytes.length]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size));
      const stream = new ReadableStream<Uint8Array>({
        pull(controller) {
          const chunk = chunks.shift();
          if (chunk) controller.enqueue(chunk);
          else controller.close();
        },
      });
      expect(await eventsOf(stream)).toMatchObject([{ type: 'start', model: 'é' }, { type: 'finish' }]);
    }
  });

  it.each([
    ['the stream ends early', body([START])],
    ['the stream ends inside a line', body([START, FINISH.slice(0, 9)])],
    ['the connection breaks', body([START], true)],
    ['a line is not JSON', body([START, 'oops\n', FINISH])],
  ])('end with an error when %s', async (_, stream) => {
    const events = await eventsOf(stream);
    expect(events.map(({ type }) => type)).toEqual(['start', 'error']);
    expect(events[1]).toMatchObject({ code: 'edge_disconnected' });
  });
});

describe('an object that does not answer', () => {
  it('is unavailable, with a time to try again', async () => {
    const client = clientOf(async () => {
      throw new Error('Durable Object reset');
    });
    const answer = await client.generate(request, never);
    expect(answer).toMatchObject({ accepted: false, refused: 'model_unavailable', retryAfter: 1 });
    if (!answer.accepted) expect(answer.message).toContain('Durable Object reset');
  });

  it('as agreed is unavailable too', async () => {
    for (const response of [new Response('Internal error', { status: 500 }), Response.json({ refused: 'no idea' }, { status: 400 })]) {
      expect(await clientOf(async () => response).generate(request, never)).toMatchObject({ refused: 'model_unavailable' });
    }
  });

  it('has no status', async () => {
    await expect(clientOf(async () => new Response(null, { status: 500 })).status()).rejects.toThrow('status 500');
  });
});

it('an abort reaches the other end at once, though nobody reads', async () => {
  const leaving = new AbortController();
  let cancelled: unknown;
  const endless = new ReadableStream<Uint8Array>({
    cancel(reason) {
      cancelled = reason;
    },
  });
  const answer = await clientOf(async () => new Response(endless)).generate(request, leaving.signal);
  expect(answer.accepted).toBe(true);
  leaving.abort(new Error('client gone'));
  await Promise.resolve();
  expect(String(cancelled)).toContain('client gone');
});
