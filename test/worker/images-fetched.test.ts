import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../routes/schema/chat.ts';
import { createImageGate } from '../../worker/origin/images/index.ts';
import { address, ask, fetching, image, internet, messagesWith, partsAtOrigin, question, sends } from './image-requests.ts';
import { bytesOf, changed, dataUrlOf } from './origin/images/files.ts';
import { attemptsAtOrigins, dataOf, eventually, failure, seenByOrigin, type Variables } from './support.ts';

const webp = sends(bytesOf('lossless webp'));

const unhandled: unknown[] = [];
const note = (event: Event) => unhandled.push((event as PromiseRejectionEvent).reason);
beforeAll(() => addEventListener('unhandledrejection', note));
afterAll(() => {
  removeEventListener('unhandledrejection', note);
  expect(unhandled).toEqual([]);
});

describe('with fetch_images, an image somewhere else', () => {
  it('arrives at the origin as data, under its true type, in its place', async () => {
    const parts = [
      image(address('cat', webp), { detail: 'high' }),
      question,
      image(dataUrlOf('png')),
      { type: 'image_url', image_url: address('dog', sends(bytesOf('gif'), 'text/plain')) },
    ];
    expect((await ask(fetching(), 'fetched', parts)).status).toBe(200);
    expect(await partsAtOrigin('fetched')).toEqual([
      image(dataUrlOf('lossless webp'), { detail: 'high' }),
      question,
      image(dataUrlOf('png')),
      { type: 'image_url', image_url: dataUrlOf('gif') },
      question,
    ]);
    const { headers } = (await seenByOrigin('cat'))!;
    for (const name of ['cookie', 'authorization', 'x-forwarded-for', 'x-request-id', 'referer']) expect(headers).not.toHaveProperty(name);
  });

  it('is fetched for a stream, too', async () => {
    const text = await (await ask(fetching(), 'streamed', [image(address('streamed-image', webp))], { stream: true })).text();
    expect(dataOf(text).at(-1)).toBe('[DONE]');
    expect(await partsAtOrigin('streamed')).toEqual([image(dataUrlOf('lossless webp')), question]);
  });

  const redirect = (to: string) => `status 302 location=${to}`;
  const chain = (hops: number): string =>
    hops === 0 ? address(`hop-0`, webp) : address(`hop-${hops}`, redirect(chain(hops - 1).replaceAll('=', '%3D')));

  it('may be at the end of a few redirects', async () => {
    expect((await ask(fetching(), 'redirected', [image(chain(3))])).status).toBe(200);
    expect(await partsAtOrigin('redirected')).toEqual([image(dataUrlOf('lossless webp')), question]);
  });

  const slow = { NEARSIDE_IMAGE_TIMEOUT_MS: '300' };
  const small = { NEARSIDE_IMAGE_MAX_BYTES: '1000' };
  it.each<[string, string, number, string, RegExp, Variables]>([
    [
      'a redirect into a private network',
      redirect('https://192.168.0.1/a.png'),
      400,
      'invalid_image_url',
      /not on the public internet/,
      {},
    ],
    [
      'a redirect to a metadata service',
      redirect('https://metadata.google.internal/'),
      400,
      'invalid_image_url',
      /not on the public internet/,
      {},
    ],
    ['a redirect to another scheme', redirect('http://images.example.com/'), 400, 'invalid_image_url', /https/, {}],
    ['a redirect to another port', redirect('https://images.example.com:8443/'), 400, 'invalid_image_url', /port/, {}],
    ['a redirect to nowhere', 'status 301 location=', 400, 'image_fetch_failed', /answers 301/, {}],
    ['a redirect to itself', 'status 302 location=?', 400, 'image_fetch_failed', /more than 3 times/, {}],
    ['too many redirects', redirect(chain(3).replaceAll('=', '%3D')), 400, 'image_fetch_failed', /more than 3 times/, {}],
    ['a redirect that says nothing', 'status 304', 400, 'image_fetch_failed', /answers 304/, {}],
    ['404', 'status 404', 400, 'image_fetch_failed', /answers 404/, {}],
    ['401', 'status 401', 400, 'image_fetch_failed', /answers 401/, {}],
    ['500', 'status 500', 400, 'image_fetch_failed', /answers 500/, {}],
    ['206, a part of it', 'status 206', 400, 'image_fetch_failed', /answers 206/, {}],
    ['a page', 'type image/png; write <html></html>', 400, 'invalid_image', /not a PNG/, {}],
    ['nothing', 'type image/png; end', 400, 'invalid_image', /not a PNG/, {}],
    ['a bomb', sends(changed('png', { 16: [0, 1, 0, 0, 0, 1, 0, 0] })), 413, 'image_too_large', /65536 x 65536/, {}],
    ['more than was allowed', 'type image/png; giant 3000000', 413, 'image_too_large', /larger than 1000 bytes/, small],
    ['more without end', 'type image/png; giant 3000000000', 413, 'image_too_large', /larger than 1000 bytes/, small],
    ['a length that is too large', 'type image/png content-length=5000; stall', 413, 'image_too_large', /larger than 1000 bytes/, small],
    [
      'less than it promised',
      'type image/png content-length=900; write abc; hangup',
      400,
      'image_fetch_failed',
      /could not be fetched\./,
      small,
    ],
    ['a connection that breaks', 'type image/png; write abc; reset', 400, 'image_fetch_failed', /could not be fetched\./, {}],
    ['no answer', 'reset', 400, 'image_fetch_failed', /could not be fetched\./, {}],
    ['nothing that is HTTP', 'socket NONSENSE\\r\\n\\r\\n; hangup', 400, 'image_fetch_failed', /could not be fetched\./, {}],
    ['silence', 'stall', 400, 'image_fetch_failed', /within 300 ms/, slow],
    ['silence after the head', 'type image/png; stall', 400, 'image_fetch_failed', /within 300 ms/, slow],
    ['a byte from time to time', `type image/png; drip 20 ${'x'.repeat(200)}`, 400, 'image_fetch_failed', /within 300 ms/, slow],
    ['a head without end', 'flood', 400, 'image_fetch_failed', /within 300 ms/, slow],
  ])('that is %s is refused, and its server left alone', async (name, script, status, code, message, variables) => {
    const id = `bad-${name.replace(/[^a-z0-9]+/g, '-')}`;
    const error = await failure(await ask(fetching(variables), id, [question, image(address(`${id}-image`, script))]));
    expect(error).toMatchObject({ status, code, param: 'messages[1].content[1].image_url.url' });
    expect(error.message).toMatch(message);
    expect(await seenByOrigin(id)).toBe(null);
    await eventually('the connection is done with', async () => (await attemptsAtOrigins(`${id}-image`)).every((seen) => seen.closed));
  });

  it('counts with the others against what a client could send itself', async () => {
    const parts = [1, 2, 3].map((n) => image(address(`budget-${n}`, sends(bytesOf('jpeg')))));
    const request = parseChatRequest({ model: 'm', messages: messagesWith(image(dataUrlOf('png')), ...parts) });
    const all = bytesOf('png').length + 3 * bytesOf('jpeg').length;
    const pass = (maxTotalBytes: number) => {
      const settings = {
        maxBytes: 1e6,
        maxTotalBytes,
        maxCount: 9,
        maxPixels: 1e6,
        media: { maxBytes: 1e6, maxCount: 9 },
        timeoutMs: 5_000,
        fetch: true,
      };
      const tools = { fetch: internet.fetch as typeof fetch, resolve: null };
      return createImageGate(settings, tools)(request, new AbortController().signal);
    };
    expect(JSON.stringify((await pass(all)).raw).split(dataUrlOf('jpeg'))).toHaveLength(4);
    const message = expect.stringContaining(`larger than ${all - 1} bytes together`);
    await expect(pass(all - 1)).rejects.toMatchObject({ status: 413, code: 'image_too_large', message });
  });

  it('is one of four at a time, and the first that fails ends the others', async () => {
    const stalled = Array.from({ length: 9 }, (_, i) => image(address(`crowd-${i}`, 'stall')));
    const leave = new AbortController();
    const asking = ask(fetching(), 'crowd', stalled, {}, leave.signal).catch(() => null);
    const asked = async () => (await Promise.all(stalled.map((_, i) => seenByOrigin(`crowd-${i}`)))).filter((seen) => seen !== null);
    await eventually('four were asked for', async () => (await asked()).length === 4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await asked()).toHaveLength(4);
    leave.abort();
    await asking;
    await eventually('all were called off', async () => (await asked()).every((seen) => seen.aborted));
    expect(await seenByOrigin('crowd')).toBe(null);

    const error = await failure(
      await ask(fetching(), 'spoilt', [image(address('spoilt-0', 'stall')), image(address('spoilt-1', 'status 404'))]),
    );
    expect(error).toMatchObject({ code: 'image_fetch_failed', param: 'messages[1].content[1].image_url.url' });
    await eventually('the other was called off', async () => (await seenByOrigin('spoilt-0'))?.aborted);
  });

  it('is no longer fetched for a client that has left', async () => {
    for (const [id, script, stream] of [
      ['left-silence', 'stall', false],
      ['left-stream', 'type image/png; write abc; stall', true],
    ] as const) {
      const leave = new AbortController();
      const asking = ask(fetching(), id, [image(address(`${id}-image`, script))], { stream }, leave.signal);
      await eventually('it was asked for', () => seenByOrigin(`${id}-image`));
      leave.abort();
      await asking.then((response) => response.text()).catch(() => {});
      await eventually('it was called off', async () => (await seenByOrigin(`${id}-image`))?.aborted);
      expect(await seenByOrigin(id)).toBe(null);
    }
  });
});
