import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { json, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readJson } from '../../routes/body.ts';
import type { ApiError } from '../../routes/errors.ts';
import { Drain } from '../../scripts/edge-node/drain.ts';
import { createFetchServer } from '../../scripts/edge-node/http.ts';
import { createNodeEdgeServer } from '../../scripts/edge-node/place.ts';
import { createEdgeHttpServer } from '../../scripts/edge-node/serve.ts';
import { parseEdgeConfig } from '../../worker/edge/config.ts';
import { createHttpEdgeClient } from '../../worker/edge/http-client.ts';
import type { EdgeClient, EdgeEvent } from '../../worker/edge/protocol.ts';
import { accepted, ask, never, request } from '../support/edge-request.ts';
import { makeTinyPack } from '../support/tiny-pack.ts';

async function untilIdle(client: EdgeClient): Promise<void> {
  while ((await client.status()).running > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

let pack: Awaited<ReturnType<typeof makeTinyPack>>;
beforeAll(async () => {
  pack = await makeTinyPack();
});
afterAll(() => pack.remove());

describe('an engine served from Node', () => {
  let server: Server;
  let url: string;
  let client: EdgeClient;
  beforeAll(async () => {
    const edge = createNodeEdgeServer(pack.folder, parseEdgeConfig({}), 1);
    server = createEdgeHttpServer(edge, new Drain(), 'a secret');
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    client = createHttpEdgeClient(url, 'a secret');
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('answers as the engine Worker does, in the company of others too', async () => {
    const [first] = await Promise.all([ask(client), ask(client, { sampling: { seed: 2 } })]);
    expect(first!.events[0]).toMatchObject({ type: 'start', model: 'tiny-fixture', cachedTokens: 0 });
    expect(first!.last).toMatchObject({ type: 'finish', reason: 'length', completionTokens: 12 });
    expect((await ask(client)).text).toBe(first!.text);
    expect(await client.status()).toMatchObject({ state: 'ready', model: 'tiny-fixture', running: 0, queued: 0 });
  });

  it('answers the same on two threads', async () => {
    const edge = createNodeEdgeServer(pack.folder, parseEdgeConfig({}), 2);
    const threaded = createFetchServer((incoming) => edge.fetch(incoming), { key: null, onError: () => {} });
    await once(threaded.listen(0, '127.0.0.1'), 'listening');
    const other = createHttpEdgeClient(`http://127.0.0.1:${(threaded.address() as AddressInfo).port}`, null);
    expect((await ask(other)).text).toBe((await ask(client)).text);
    threaded.close();
  });

  it('starts from prompts that were evaluated before', async () => {
    const system = { role: 'system' as const, content: 'You answer questions about a small town near the sea. '.repeat(3) };
    const about = (content: string) => ask(client, { messages: [system, { role: 'user', content }], cacheScope: 'key' });
    await about('When does the harbour open?');
    const [start] = (await about('Who sells bread?')).events;
    expect(start!.type === 'start' && start!.cachedTokens).toBeGreaterThan(30);
  });

  it('refuses what the engine Worker refuses', async () => {
    expect(await client.generate(request({ maxPromptTokens: 3 }), never)).toMatchObject({ accepted: false, refused: 'prompt_too_long' });
    expect((await fetch(`${url}/else`, { headers: { authorization: 'Bearer a secret' } })).status).toBe(404);
  });

  it.each(['aborts', 'hangs up'])('stops for a client that %s', async (way) => {
    const leaving = new AbortController();
    const events = accepted(await client.generate(request({ maxTokens: 3000 }), leaving.signal))[Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'delta');
    expect((await client.status()).running).toBe(1);
    if (way === 'aborts') leaving.abort(new Error('enough'));
    else await events.return?.();
    await untilIdle(client);
    expect((await client.status()).memory!.sessionBytes).toBe(0);
  });

  it('tells a probe without a key that it is there and can answer', async () => {
    for (const path of ['/healthz', '/readyz']) expect((await fetch(url + path)).status).toBe(200);
  });

  it('serves nobody without its key, and no page in a browser', async () => {
    for (const key of ['another', null]) {
      const stranger = createHttpEdgeClient(url, key);
      expect(await stranger.generate(request(), never)).toMatchObject({ accepted: false, refused: 'model_unavailable' });
      await expect(stranger.status()).rejects.toThrow('status 401');
    }
    const headers = { authorization: 'Bearer a secret', origin: 'https://example.com' };
    expect((await fetch(`${url}/status`, { headers })).status).toBe(403);
  });
});

describe('npm run edge-node', () => {
  const script = fileURLToPath(new URL('../../scripts/edge-node.ts', import.meta.url));
  const start = (args: string[], env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [script, ...args, '--nice', '10'], { env: { ...process.env, NEARSIDE_EDGE_KEY: '', ...env } });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    return { child, output: () => output, exited: once(child, 'exit') };
  };

  it('says where it listens, answers, and ends at Ctrl-C in the middle of an answer', async () => {
    const { child, output, exited } = start(['--model', pack.folder, '--port', '0']);
    while (!output().includes('Stop')) await once(child.stdout, 'data');
    const client = createHttpEdgeClient(/http:\S+/.exec(output())![0], null);
    const events = accepted(await client.generate(request({ maxTokens: 3000 }), never))[Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'delta');
    child.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
    let last: EdgeEvent | undefined;
    for (let event = await events.next(); !event.done; event = await events.next()) last = event.value;
    expect(last).toMatchObject({ type: 'error', code: 'edge_disconnected' });
  });

  const serving = async (args: string[]) => {
    const started = start(['--model', pack.folder, '--port', '0', ...args]);
    while (!started.output().includes('Stop')) await once(started.child.stdout, 'data');
    const url = /http:\S+/.exec(started.output())![0];
    return { ...started, url, client: createHttpEdgeClient(url, null) };
  };
  const answering = async (client: EdgeClient, maxTokens: number) => {
    const events = accepted(await client.generate(request({ maxTokens }), never))[Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'delta');
    return async () => {
      let last: EdgeEvent | undefined;
      for (let event = await events.next(); !event.done; event = await events.next()) last = event.value;
      return last;
    };
  };
  const untilDraining = async (url: string) => {
    while ((await fetch(`${url}/readyz`)).status === 200);
  };

  it('told to stop, takes no new request, finishes the answer that runs, and ends', async () => {
    const { child, url, client, exited } = await serving([]);
    // Long enough to run still when a busy machine lets this process look at last.
    const end = await answering(client, 2000);
    child.kill('SIGTERM');
    await untilDraining(url);
    const [health, status, refused] = await Promise.all([fetch(`${url}/healthz`), client.status(), client.generate(request(), never)]);
    expect(health.status).toBe(200);
    expect(status.running).toBe(1);
    expect(refused).toMatchObject({ accepted: false, refused: 'model_unavailable', retryAfter: 2 });
    expect(await end()).toMatchObject({ type: 'finish', completionTokens: 2000 });
    expect(await exited).toEqual([0, null]);
  });

  it.each(['a second signal', 'its limit'])('ends with an answer running after %s', async (what) => {
    const { child, url, client, exited } = await serving(what === 'its limit' ? ['--drain', '0'] : []);
    const end = await answering(client, 3000);
    child.kill('SIGTERM');
    if (what === 'a second signal') {
      await untilDraining(url);
      child.kill('SIGTERM');
    }
    expect(await exited).toEqual([0, null]);
    expect(await end()).toMatchObject({ type: 'error', code: 'edge_disconnected' });
  });

  it('says of a method that no Request can have that it is not allowed', async () => {
    const server = createFetchServer(async () => new Response(), { key: null, onError: (error) => expect.unreachable(String(error)) });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const asking = httpRequest({ port: (server.address() as AddressInfo).port, method: 'TRACE', path: '/v1/models' }).end();
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(405);
    expect(await json(response)).toMatchObject({ error: { code: 'method_not_allowed', param: null } });
    server.close();
  });

  it.each([
    ['nobody reads', 'content-length: 20000000', '', async () => {}],
    [
      'was read in part, its length unknown',
      'transfer-encoding: chunked',
      '1312d00\r\n',
      (request: Request) => readJson(request, 1_000_000),
    ],
  ])(
    'takes the rest of a body that %s, so that a client which writes all of it first gets its refusal, and can go on',
    async (_, header, before, read) => {
      const handler = async (request: Request) => {
        if (request.method !== 'POST') return new Response();
        const error = await read(request).then(
          () => null,
          (thrown: ApiError) => thrown,
        );
        return new Response(null, { status: error?.status ?? 413 });
      };
      const server = createFetchServer(handler, { key: null, onError: (error) => expect.unreachable(String(error)) });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      const body = Buffer.alloc(20_000_000, 'x');
      socket.write(`POST / HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n${header}\r\n\r\n${before}`);
      // Not read before it is written, as a client that blocks would have it.
      await new Promise<void>((done, fail) => {
        socket.once('close', () => fail(new Error('The connection was closed before the body was written.')));
        socket.write(body, () => done());
      });
      socket.write(`${before && '\r\n0\r\n\r\n'}GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n`);
      expect((await text(socket)).match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
      server.close();
    },
  );

  it.each<[string, number, string | null]>([
    ['//[', 200, '//['],
    ['//v1/models', 200, '//v1/models'],
    ['http://other/v1/models', 200, '/v1/models'],
    ['http://other:99999/', 400, null],
    ['http://a:b@other/v1/models', 400, null],
  ])('takes %s for a path, or for nothing it could answer', async (path, status, seen) => {
    const errors: unknown[] = [];
    const handler = async ({ url }: Request) => new Response(new URL(url).pathname);
    const server = createFetchServer(handler, { key: null, onError: (error) => errors.push(error) });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const asking = httpRequest({ port: (server.address() as AddressInfo).port, path }).end();
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    const said = await text(answer);
    expect([answer.statusCode, errors]).toEqual([status, []]);
    if (seen === null) expect(JSON.parse(said).error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_request' });
    else expect(said).toBe(seen);
    server.close();
  });

  it('refuses in one sentence what cannot work', async () => {
    const busy = createServer();
    await once(busy.listen(0, '127.0.0.1'), 'listening');
    const { port } = busy.address() as AddressInfo;
    const cases: [string[], RegExp][] = [
      [[], /^--model PACK_DIR is missing/],
      [['--port', '-1'], /^Option '--port' argument is ambiguous\. See .* --help\.\n$/],
      [['--model', '/nonexistent'], /\/nonexistent is not a pack/],
      [['--model', pack.folder, '--port', 'x'], /^--port must be a whole number/],
      [['--model', pack.folder, '--threads', '4000'], /^--threads must be/],
      [['--model', pack.folder, '--host', '0.0.0.0'], /set NEARSIDE_EDGE_KEY/],
      [['--model', pack.folder, '--port', String(port)], /in use by another program/],
      [['--modle', pack.folder], /--help/],
    ];
    const check = async ([args, expected]: [string[], RegExp]) => {
      const { output, exited } = start(args);
      expect(await exited).toEqual([1, null]);
      expect(output()).toMatch(expected);
      expect(output().trim().split('\n')).toHaveLength(1);
    };
    await Promise.all(cases.map(check));
    busy.close();
  });
});
