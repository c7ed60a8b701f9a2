import { afterEach, describe, expect, test } from 'vitest';
import { type HubOptions, openRepository } from '../../../models/hub/hub.ts';
import { request } from '../../../models/hub/request.ts';
import { type HubModel, type HubServer, startHub } from '../../support/hub-server.ts';

let hub: HubServer | undefined;
afterEach(async () => {
  await hub?.close();
  hub = undefined;
});

const RETRY = { tries: 2, firstWaitMs: 1, maxWaitMs: 2 };
const FILES = { 'config.json': new TextEncoder().encode('{"a":1}'), 'model.bin': new Uint8Array(100_000) };

async function look(
  model: Partial<HubModel>,
  options: HubOptions & { revision?: string; name?: string; status?: number; code?: string } = {},
) {
  hub = await startHub({ name: 'org/model', files: FILES, ...model });
  const { status, code } = options;
  const headers: Record<string, string> = code ? { 'x-error-code': code } : {};
  if (status) hub.faults.push(() => ({ kind: 'status', status, headers }));
  return openRepository(options.name ?? 'org/model', options.revision ?? 'main', { endpoint: hub.endpoint, retry: RETRY, ...options });
}

test('a repository is its commit and its files, with the hash that is published for each', async () => {
  const { commit, files } = await look({});
  expect(commit).toBe('a'.repeat(40));
  expect(files.get('config.json')).toEqual({
    path: 'config.json',
    size: 7,
    sha256: null,
    gitSha1: 'daa5053ecf5f9a37b2de733d0751cc1ab53ac010',
  });
  expect(files.get('model.bin')).toEqual({
    path: 'model.bin',
    size: 100_000,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    gitSha1: null,
  });
});

describe('refusals say what to do', () => {
  test('private or unknown, without a token', () =>
    expect(look({ token: 't' })).rejects.toThrow(/^org\/model does not exist, or is private: .*HF_TOKEN/));
  test('a wrong token', () =>
    expect(look({ token: 't' }, { token: 'x' })).rejects.toThrow(/^The token in HF_TOKEN was refused for org\/model/));
  test('gated, without a token', () =>
    expect(look({}, { status: 401, code: 'GatedRepo' })).rejects.toThrow(
      /^org\/model is gated: accept its conditions at .*\/org\/model, .*HF_TOKEN/,
    ));
  test('gated, with a token that was not accepted', () =>
    expect(look({}, { status: 403, token: 'x' })).rejects.toThrow(/the token in HF_TOKEN may not read it: accept its conditions/));
  test('no such revision', () => expect(look({}, { revision: 'v9' })).rejects.toThrow('org/model has no revision "v9".'));
  test('no such model', () => expect(look({}, { status: 404 })).rejects.toThrow(/^There is no model org\/model at http/));
  test('a hub that is down', () =>
    expect(look({}, { status: 503 })).rejects.toThrow(/^org\/model: the server answered 503\. That was try 2/));
  test('something that is no hub', () =>
    expect(look({}, { fetch: async () => new Response('<html>') })).rejects.toThrow(
      /does not answer as a Hugging Face compatible hub does; check HF_ENDPOINT/,
    ));
  test('nobody there', () =>
    expect(openRepository('org/model', 'main', { endpoint: 'http://127.0.0.1:9', retry: RETRY })).rejects.toThrow(
      /^org\/model: 127\.0\.0\.1:9 cannot be reached/,
    ));
  test('an endpoint that is no address', () =>
    expect(openRepository('org/model', 'main', { endpoint: 'huggingface' })).rejects.toThrow(
      'HF_ENDPOINT must be an http(s) address, and "huggingface" is not.',
    ));
});

describe('redirects', () => {
  const redirecting = (locations: Record<string, string>) => {
    const seen: [string, string | null][] = [];
    const fetch = (async (url: string, { headers }: { headers: Record<string, string> }) => {
      seen.push([url, headers.authorization ?? null]);
      const location = locations[url];
      return location === undefined ? new Response('content') : new Response(null, { status: 302, headers: { location } });
    }) as unknown as typeof globalThis.fetch;
    return { seen, connection: { fetch, credential: { token: 't', origin: 'https://hub.test' }, idleMs: 1000 } };
  };

  test('the token goes along on the same host, and nowhere else, not to another port or scheme of it either', async () => {
    const { seen, connection } = redirecting({
      'https://hub.test/a': '/b',
      'https://hub.test/b': 'https://hub.test:444/c',
      'https://hub.test:444/c': 'https://cdn.test/d',
    });
    const { url } = await request('file', 'https://hub.test/a', connection);
    expect(url).toBe('https://cdn.test/d');
    expect(seen.map(([, token]) => token)).toEqual(['Bearer t', 'Bearer t', null, null]);
  });

  test('from https to http is refused', () => {
    const { connection } = redirecting({ 'https://hub.test/a': 'http://hub.test/b' });
    return expect(request('file', 'https://hub.test/a', connection)).rejects.toThrow(
      'file: the server redirects from https: to http:, which is refused.',
    );
  });

  test('in a circle end', () => {
    const { connection } = redirecting({ 'https://hub.test/a': '/a' });
    return expect(request('file', 'https://hub.test/a', connection)).rejects.toThrow('file: the server redirects more than 10 times.');
  });

  test('to nowhere end', () => {
    const { connection } = redirecting({ 'https://hub.test/a': 'http://' });
    return expect(request('file', 'https://hub.test/a', connection)).rejects.toThrow('file: the server redirects to nowhere.');
  });
});
