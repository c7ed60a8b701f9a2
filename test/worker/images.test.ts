import { describe, expect, it } from 'vitest';
import { ask, fetching, gateway, image, internet, partsAtOrigin, question } from './image-requests.ts';
import { bytesOf, changed, dataUrlOf } from './origin/images/files.ts';
import { failure, seenByOrigin, type Variables } from './support.ts';

describe('an image that comes with the request', () => {
  it('goes on as it came, whatever kind it is and however it is written', async () => {
    const parts = ['png', 'jpeg', 'animated gif', 'extended webp'].map((name) => image(dataUrlOf(name), { detail: 'high', custom: 1 }));
    const bare = { type: 'image_url', image_url: dataUrlOf('gif') };
    expect((await ask(gateway(), 'inline', [...parts, bare])).status).toBe(200);
    expect(await partsAtOrigin('inline')).toEqual([...parts, bare, question]);
  });

  it('goes on under its true type', async () => {
    const parts = [
      image(dataUrlOf('png', 'image/jpeg'), { detail: 'low' }),
      image(dataUrlOf('jpeg', 'text/html;charset=utf-8')),
      image(dataUrlOf('gif', '')),
    ];
    expect((await ask(gateway(), 'true-type', [question, ...parts])).status).toBe(200);
    expect(await partsAtOrigin('true-type')).toEqual([
      question,
      image(dataUrlOf('png'), { detail: 'low' }),
      image(dataUrlOf('jpeg')),
      image(dataUrlOf('gif')),
      question,
    ]);
  });

  const bomb = changed('png', { 16: [0, 1, 0, 0, 0, 1, 0, 0] });
  const dataOfBytes = (bytes: Uint8Array, type = 'image/png') => `data:${type};base64,${bytes.toBase64()}`;
  it.each<[string, string, number, string, RegExp, Variables]>([
    ['is too large', dataUrlOf('jpeg'), 413, 'image_too_large', /larger than 200 bytes/, { NEARSIDE_IMAGE_MAX_BYTES: '200' }],
    ['has too many pixels for its origin', dataOfBytes(bomb), 413, 'image_too_large', /65536 x 65536 pixels; at most 50000000/, {}],
    [
      'has a pixel more than is allowed',
      dataOfBytes(changed('png', { 19: [38] })),
      413,
      'image_too_large',
      /38 x 21 pixels; at most 777/,
      { NEARSIDE_IMAGE_MAX_PIXELS: '777' },
    ],
    ['is none', dataOfBytes(new TextEncoder().encode('<svg/>')), 400, 'invalid_image', /not a PNG, JPEG, GIF or WebP/, {}],
    ['is none and nothing', 'data:image/png;base64,', 400, 'invalid_image', /not a PNG/, {}],
    ['is damaged', dataOfBytes(bytesOf('png').subarray(0, 20)), 400, 'invalid_image', /image\/png but is damaged/, {}],
    ['is not base64', 'data:image/png;base64,iVBOR*', 400, 'invalid_image_url', /not valid base64/, {}],
    ['is not said to be base64', 'data:image/png,%89PNG', 400, 'invalid_image_url', /must be a base64 data URL/, {}],
    ['is a data URL without data', 'data:', 400, 'invalid_image_url', /must be a base64 data URL/, {}],
    ['is at no address', 'cat.png', 400, 'invalid_image_url', /must be an https or data URL/, {}],
  ])('and %s is refused before any origin sees it', async (name, url, status, code, message, variables) => {
    const id = `refused-${name.replaceAll(' ', '-')}`;
    const response = await ask(gateway(variables), id, [image(dataUrlOf('lossless webp')), question, image(url)]);
    expect([response.headers.get('x-nearside-route'), response.headers.get('x-nearside-reason')]).toEqual([
      'origin',
      'origin_model_requested',
    ]);
    const error = await failure(response);
    expect(error).toMatchObject({ status, code, type: 'invalid_request_error', param: 'messages[1].content[2].image_url.url' });
    expect(error.message).toMatch(message);
    expect(await seenByOrigin(id)).toBe(null);
  });

  it('is counted', async () => {
    const parts = Array.from({ length: 4 }, () => image(dataUrlOf('png')));
    expect((await ask(gateway({ NEARSIDE_IMAGE_MAX_COUNT: '4' }), 'counted', parts)).status).toBe(200);
    expect(await failure(await ask(gateway({ NEARSIDE_IMAGE_MAX_COUNT: '3' }), 'too-many', parts))).toMatchObject({
      status: 400,
      code: 'too_many_images',
      param: 'messages[1].content[3].image_url.url',
    });
  });

  it.each([{}, { image_url: null }, { image_url: {} }, { image_url: { url: 7 } }])(
    'and says %j instead of a URL is refused',
    async (more) => {
      const error = await failure(await ask(gateway(), 'no-url', [{ type: 'image_url', ...more }]));
      expect(error).toMatchObject({ status: 400, code: 'invalid_image_url', param: 'messages[1].content[0].image_url' });
    },
  );

  it('is asked for by a part that should carry one, also as the Responses API calls it', async () => {
    const error = await failure(await ask(gateway(), 'input-image', [{ type: 'input_image', detail: 'high' }]));
    expect(error).toMatchObject({ status: 400, code: 'invalid_image_url', param: 'messages[1].content[0].image_url' });
    expect(await seenByOrigin('input-image')).toBe(null);
    const known = { type: 'input_image', file_id: 'file-1' };
    expect((await ask(gateway(), 'input-image-file', [known])).status).toBe(200);
    expect(await partsAtOrigin('input-image-file')).toEqual([known, question]);
  });

  it('is looked at in a tool message too, and under other names of its part', async () => {
    const bad = { type: 'input_image', image_url: 'https://10.0.0.1/' };
    const tool = { role: 'tool', tool_call_id: 'c', content: [bad] };
    const error = await failure(await ask(gateway(), 'tool', [], { messages: [{ role: 'user', content: 'x' }, tool] }));
    expect(error).toMatchObject({ status: 400, code: 'invalid_image_url', param: 'messages[1].content[0].image_url' });
  });
});

describe('an image somewhere else', () => {
  it("is the origin's to fetch, unless the gateway is told to", async () => {
    const part = image('https://images.example.com/a.png?x=1', { detail: 'auto' });
    expect((await ask(gateway({}, { IMAGE_NETWORK: internet }), 'passed-on', [part])).status).toBe(200);
    expect(await partsAtOrigin('passed-on')).toEqual([part, question]);
  });

  it.each([
    'https://169.254.169.254/latest/meta-data',
    'https://[::ffff:10.0.0.1]/',
    'https://localhost/',
    'http://images.example.com/',
    'https://a:b@images.example.com/',
    'file:///etc/passwd',
  ])('may not be at %s, whoever fetches it', async (url) => {
    for (const env of [gateway(), fetching()]) {
      const error = await failure(await ask(env, 'closed-image', [image(url)]));
      expect(error).toMatchObject({ status: 400, code: 'invalid_image_url', param: 'messages[1].content[0].image_url.url' });
    }
    expect(await seenByOrigin('closed-image')).toBe(null);
  });
});
