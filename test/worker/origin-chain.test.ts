import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  attemptsAtOrigins,
  chat,
  chatWith,
  dataOf,
  endpoint,
  environment,
  eventually,
  failure,
  seenByOrigin,
  sendTo,
  withPools,
} from './support.ts';

const tagged = (id: string) => ({ headers: { 'x-request-id': id } });

afterEach(() => {
  vi.useRealTimers();
});

describe('a chain of pools', () => {
  const four = { model: 'four', endpoints: [endpoint('four-1')], retries: 0 };
  const nine = { model: 'nine', endpoints: [endpoint('nine-1')], retries: 0, fallback: ['four', 'edge'] };

  it('is followed when a pool fails, and says why and who answers', async () => {
    for (const body of [{ model: 'nine' }, { model: 'nine', stream: true }]) {
      const response = await chat(withPools([nine, four]), 'nine-1> status 500', body, tagged('chain'));
      expect(response.headers.get('x-nearside-reason')).toBe('origin_model_requested, fallback, origin_error');
      expect(response.headers.get('x-nearside-model')).toBe('four');
      expect((await response.text()).length).toBeGreaterThan(0);
      expect((await seenByOrigin('chain'))?.body.model).toBe('four');
    }
  });

  it('may end at the edge, for what the edge can do', async () => {
    const response = await chat(withPools([nine, four]), 'status 500', { model: 'nine' });
    expect(response.headers.get('x-nearside-route')).toBe('edge');
    expect(response.headers.get('x-nearside-reason')).toBe('origin_unavailable');
    expect((await response.json<{ model: string }>()).model).toBe('edge-test');
    expect((await chat(withPools([nine, four]), 'status 500', { model: 'nine', n: 2 })).status).toBe(502);
    expect((await chat(withPools([nine, four]), 'status 500', { model: 'four' })).status).toBe(502);
  });

  it('tells of another model in a comment when the stream had begun', async () => {
    const variables = { NEARSIDE_COMMIT_AFTER_MS: '100', NEARSIDE_KEEPALIVE_MS: '40' };
    const response = await chat(withPools([nine, four], variables), 'nine-1> wait 300; status 500', { model: 'nine', stream: true });
    expect(response.headers.get('x-nearside-model')).toBe('nine');
    const text = await response.text();
    expect(text).toContain(': four: origin_model_requested, fallback, origin_error\n\n');
    expect(dataOf(text).at(-1)).toBe('[DONE]');
  });

  it('does not begin when the request itself is at fault', async () => {
    expect((await chat(withPools([nine, four]), 'nine-1> status 422', { model: 'nine' })).status).toBe(422);
  });
});

describe('the time of a request', () => {
  const timed = (model: string, totalMs: number, more: object = {}) => ({
    model,
    endpoints: [endpoint(`${model}-1`)],
    retries: 0,
    timeouts: { total_ms: totalMs },
    ...more,
  });
  const askedOf = async (id: string) => (await attemptsAtOrigins(id)).map((attempt) => attempt.endpoint);

  it('is the longest of the chain, and not that of all pools after one another', async () => {
    const pools = [timed('nine', 300, { fallback: ['four', 'two'] }), timed('four', 700), timed('two', 600)];
    const answer = await chat(withPools(pools), 'stall', { model: 'nine' }, tagged('chain-in-all'));
    expect(await failure(answer)).toMatchObject({ status: 504, code: 'origin_timeout' });
    expect(await askedOf('chain-in-all')).toEqual(['nine-1', 'four-1']);
  });

  it('is up for a fallback when the first pool has taken all of it', async () => {
    const pools = [timed('nine', 300, { fallback: ['four'] }), timed('four', 300)];
    const answer = await chat(withPools(pools), 'nine-1> stall', { model: 'nine' }, tagged('chain-used-up'));
    expect(await failure(answer)).toMatchObject({ status: 504, message: 'The origin did not answer within 300 ms.' });
    expect(await askedOf('chain-used-up')).toEqual(['nine-1']);
  });

  it('leaves a fallback what is left of it', async () => {
    const pools = [timed('nine', 1000, { fallback: ['four'] }), timed('four', 1000)];
    const script = 'nine-1> wait 700; status 500 || four-1> tokens 500 20';
    const events = dataOf(await (await chat(withPools(pools), script, { model: 'nine', stream: true })).text());
    expect(events.at(-1)).toMatchObject({ error: { code: 'origin_timeout' } });
    // 300 ms of tokens that come every 20, and not 1,000.
    expect(events.length).toBeLessThan(35);
  });

  it('goes on for another pool that nearside-auto asks instead', async () => {
    // Longer than the second pool's own.
    const pools = [timed('nine', 1000), timed('four', 600, { quality: 0.9 })];
    const script = 'nine-1> wait 700; status 500 || four-1> tokens 500 20';
    const policy = { headers: { 'x-request-id': 'placed-again', 'x-nearside-policy': 'origin-only' } };
    const events = dataOf(await (await chat(withPools(pools), script, { stream: true }, policy)).text());
    expect(await askedOf('placed-again')).toEqual(['nine-1', 'four-1']);
    expect(events.at(-1)).toMatchObject({ error: { code: 'origin_timeout' } });
    expect(events.length).toBeLessThan(35);
  });
});

describe('several pools', () => {
  const image = [
    {
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
        { type: 'text', text: 'x' },
      ],
    },
  ];
  const text = { model: 'text', endpoints: [endpoint('text-1', { model: 'text-there', modalities: ['text'], context: 100 })] };
  const sight = { model: 'sight', endpoints: [endpoint('sight-1', { modalities: ['text', 'image'] })] };

  it('are models of their own, under their own names', async () => {
    const models = await (await sendTo(environment(withPools([text, sight])), '/v1/models')).json<{ data: { id: string }[] }>();
    expect(models.data.map(({ id }) => id)).toEqual(['nearside-auto', 'edge-test', 'text', 'sight']);
    await chat(withPools([text, sight]), 'hello', { model: 'text' }, tagged('named'));
    expect(await seenByOrigin('named')).toMatchObject({ endpoint: 'text-1', body: { model: 'text-there' } });
  });

  it('get from nearside-auto what they can read and hold', async () => {
    const model = async (body: object) =>
      (await chat(withPools([text, sight]), 'hello', { n: 2, ...body })).headers.get('x-nearside-model');
    expect(await model({})).toBe('text');
    expect(await model({ messages: image })).toBe('sight');
    expect(await model({ messages: [{ role: 'user', content: 'x'.repeat(1000) }] })).toBe('sight');
  });

  it('get from nearside-auto what may go to them', async () => {
    const both = { modalities: ['text', 'image'] };
    const europe = { model: 'europe', endpoints: [endpoint('eu-1', { region: 'eu', ...both })] };
    const mixed = {
      model: 'mixed',
      endpoints: [endpoint('mixed-eu', { region: 'eu', ...both }), endpoint('mixed-us', { region: 'us', modalities: ['text'] })],
    };
    const states = { model: 'states', endpoints: [endpoint('us-1', { region: 'us', ...both })] };
    const model = async (residency: string, body: object) => {
      const variables = { ...withPools([europe, mixed, states]), NEARSIDE_POLICY: JSON.stringify({ residency: [residency] }) };
      const response = await chat(variables, 'hello', { n: 2, ...body });
      return response.ok ? response.headers.get('x-nearside-model') : (await failure(response)).code;
    };
    expect(await model('eu', {})).toBe('europe');
    expect(await model('us', {})).toBe('mixed');
    expect(await model('us', { messages: image })).toBe('states');
    expect(await model('asia', {})).toBe('route_not_allowed');
  });

  it('refuse what none of them reads', async () => {
    const asked = { messages: image, model: 'text' };
    expect(await failure(await chat(withPools([text, sight]), '', asked))).toMatchObject({
      status: 400,
      code: 'unsupported_modality',
      param: 'messages',
    });
    expect((await failure(await chat(withPools([text]), '', { messages: image }))).message).toMatch(/^No origin model here reads image/);
  });
});

describe('what nobody has looked at', () => {
  const film = { type: 'video_url', video_url: { url: 'https://example.com/a.mp4' } };
  const asking = (part: object) => ({ messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }, part] }] });
  const silent = { model: 'silent', endpoints: [endpoint('silent-1')] };
  const films = { model: 'films', endpoints: [endpoint('films-1', { modalities: ['text', 'video'], region: 'eu' }), endpoint('films-2')] };

  it.each<[string, object]>([
    ['video', film],
    ['audio', { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }],
    ['audio', { type: 'audio_url', audio_url: { url: 'http://169.254.169.254/' } }],
    ['file', { type: 'file', file: { file_data: 'data:application/pdf;base64,AAAA' } }],
    ['video', { type: 'text', text: 'x', video_url: film.video_url }],
  ])('is refused where no origin says that it reads it: %s', async (modality, part) => {
    const refused = await failure(await chat(withPools([silent]), '', { model: 'silent', ...asking(part) }, tagged('unseen')));
    expect(refused).toMatchObject({ status: 400, code: 'unsupported_modality', param: 'messages' });
    expect(refused.message).toMatch(`The model silent does not read ${modality};`);
    expect(await attemptsAtOrigins('unseen')).toEqual([]);
  });

  it('goes to the endpoint that says so', async () => {
    for (let i = 0; i < 4; i++) {
      const id = `film-${i}`;
      const body = { model: 'films', prompt_cache_key: id, ...asking(film) };
      expect((await chat(withPools([silent, films]), '', body, tagged(id))).status).toBe(200);
      expect(await seenByOrigin(id)).toMatchObject({ endpoint: 'films-1', body: { messages: body.messages } });
    }
  });

  it('goes to nobody where the one that reads it may not be asked', async () => {
    const elsewhere = { model: 'films', endpoints: [films.endpoints[0], endpoint('us-1', { region: 'us' })] };
    const variables = { ...withPools([elsewhere]), NEARSIDE_POLICY: JSON.stringify({ residency: ['us'] }) };
    expect(await failure(await chat(variables, '', { model: 'films', ...asking(film) }))).toMatchObject({
      status: 400,
      code: 'unsupported_modality',
    });
  });

  it('does not fall back on a pool whose only reader may not be asked: what the first one failed of is told', async () => {
    const first = {
      model: 'films',
      fallback: ['mixed'],
      endpoints: [endpoint('us-films', { modalities: ['text', 'video'], region: 'us' })],
    };
    const mixed = { model: 'mixed', endpoints: [films.endpoints[0], endpoint('us-texts', { region: 'us' })] };
    const variables = { ...withPools([first, mixed]), NEARSIDE_POLICY: JSON.stringify({ residency: ['us'] }) };
    const messages = [...asking(film).messages, { role: 'user', content: 'status 500' }];
    const answer = await chat(variables, '', { model: 'films', messages }, tagged('no-reader'));
    expect(await failure(answer)).toMatchObject({ status: 502, code: 'origin_error' });
    expect(new Set((await attemptsAtOrigins('no-reader')).map(({ endpoint }) => endpoint))).toEqual(new Set(['us-films']));
  });
});

describe('a list in KV', () => {
  const list = (model: string) => JSON.stringify([{ model, endpoints: [endpoint('kv')] }]);
  const models = async (gateway: ReturnType<typeof environment>) =>
    (await (await sendTo(gateway, '/v1/models')).json<{ data: { id: string }[] }>()).data.map(({ id }) => id).slice(2);
  const kv = (store: { text: string | null; fail?: boolean }) => ({
    async get() {
      if (store.fail) throw new Error('KV is down');
      return store.text;
    },
  });
  const later = (ms: number) => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });

  it('is used instead of the variable, and read again without a deployment', async () => {
    const store = { text: list('first') };
    const gateway = environment({
      ...withPools([{ model: 'pool', endpoints: [endpoint('a')] }]),
      ORIGINS: kv(store) as unknown as KVNamespace,
    });
    expect(await models(gateway)).toEqual(['first']);
    store.text = list('second');
    expect(await models(gateway)).toEqual(['first']);
    later(11_000);
    await eventually('the list was read', async () => (await models(gateway)).join() === 'second');
    store.text = null as never;
    later(11_000);
    await eventually('the variable counts again', async () => (await models(gateway)).join() === 'pool');
  });

  it('that is wrong, or cannot be read, leaves what there was, and /healthz says so by name', async () => {
    const store: { text: string | null; fail?: boolean } = { text: list('good') };
    const gateway = environment({ ...withPools([]), ORIGINS: kv(store) as unknown as KVNamespace });
    expect(await models(gateway)).toEqual(['good']);
    store.text = JSON.stringify([{ model: 'bad', endpoints: [{ name: 'x', url: 'nowhere' }] }]);
    later(11_000);
    const problem = async () => (await (await sendTo(gateway, '/healthz')).json<{ origin: { problem?: string } }>()).origin.problem;
    await eventually('it is told', async () => (await problem())?.includes('pool "bad", endpoint "x": url must be'));
    expect(await models(gateway)).toEqual(['good']);
    store.fail = true;
    later(11_000);
    await eventually('it is told', async () => (await problem()) === 'KV is down');
    expect(await models(gateway)).toEqual(['good']);
    Object.assign(store, { text: list('good'), fail: false });
    later(11_000);
    await eventually('nothing is wrong any more', async () => (await problem()) === undefined);
  });

  it('that could not be read yet may have an origin all the same: clients may ask again', async () => {
    const store: { text: string | null; fail?: boolean } = { text: null, fail: true };
    const gateway = environment({ ...withPools([]), ORIGINS: kv(store) as unknown as KVNamespace });
    const ask = () => chatWith(gateway, 'hello', { tools: [{ type: 'function', function: { name: 'f' } }] });
    const unread = await ask();
    expect(unread.headers.get('x-should-retry')).toBe(null);
    expect(unread.headers.get('retry-after')).toBe('10');
    expect(await failure(unread)).toMatchObject({ status: 503, code: 'no_route' });
    store.fail = false;
    later(11_000);
    await eventually('there is none for good', async () => (await ask()).headers.get('x-should-retry') === 'false');
  });
});
