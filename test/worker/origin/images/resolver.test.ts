import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../../../routes/schema/chat.ts';
import { createImageGate } from '../../../../worker/origin/images/index.ts';
import { createResolver } from '../../../../worker/origin/images/resolver.ts';
import { bytesOf, dataUrlOf } from './files.ts';

const signal = new AbortController().signal;
const settings = {
  maxBytes: 1e6,
  maxTotalBytes: 1e6,
  maxCount: 9,
  maxPixels: 1e6,
  media: { maxBytes: 1e6, maxCount: 9 },
  timeoutMs: 5_000,
  fetch: true,
};
const requestFor = (url: string) =>
  parseChatRequest({ model: 'm', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] });

/** An internet of names: what each answers, and what was asked. */
function names(addresses: Record<string, string[]>, answers: Record<string, () => Response>) {
  const asked: string[] = [];
  const tools = {
    fetch: (async (url: string) => {
      asked.push(url);
      return answers[new URL(url).hostname]!();
    }) as unknown as typeof fetch,
    resolve: async (name: string) => {
      asked.push(`resolve ${name}`);
      return addresses[name] ?? [];
    },
  };
  return { asked, gate: createImageGate(settings, tools) };
}
const picture = () => new Response(bytesOf('png'));
const redirect = (location: string) => () => new Response(null, { status: 302, headers: { location } });

describe('a name that is looked up', () => {
  it('is asked for its addresses before each request', async () => {
    const { asked, gate } = names(
      { 'a.example.com': ['1.1.1.1'], 'b.example.com': ['9.9.9.9', '2606:4700::1'] },
      { 'a.example.com': redirect('https://b.example.com/x'), 'b.example.com': picture },
    );
    const { raw } = await gate(requestFor('https://a.example.com/'), signal);
    expect(JSON.stringify(raw)).toContain(dataUrlOf('png'));
    expect(asked).toEqual(['resolve a.example.com', 'https://a.example.com/', 'resolve b.example.com', 'https://b.example.com/x']);
  });

  it('and leads into a private network is not fetched from', async () => {
    const { asked, gate } = names({ 'rebound.example.com': ['10.0.0.1'] }, { 'rebound.example.com': picture });
    await expect(gate(requestFor('https://rebound.example.com/'), signal)).rejects.toMatchObject({ code: 'invalid_image_url' });
    expect(asked).toEqual(['resolve rebound.example.com']);
  });

  it('and leads there by a redirect is not either', async () => {
    const { asked, gate } = names(
      { 'a.example.com': ['1.1.1.1'], 'b.example.com': ['1.1.1.1', '64:ff9b::a00:1'] },
      { 'a.example.com': redirect('//b.example.com') },
    );
    await expect(gate(requestFor('https://a.example.com/'), signal)).rejects.toMatchObject({ code: 'invalid_image_url' });
    expect(asked.at(-1)).toBe('resolve b.example.com');
  });
});

describe('DNS over HTTPS', () => {
  const server = (answer: (query: URLSearchParams) => Response) => {
    const asked: string[] = [];
    const request = (async (url: string) => {
      asked.push(url);
      return answer(new URL(url).searchParams);
    }) as unknown as typeof fetch;
    return { asked, resolve: createResolver('https://dns.example.com/dns-query', request) };
  };

  it('is asked for both kinds of address, and aliases on the way are no addresses', async () => {
    const { asked, resolve } = server((query) => {
      const alias = { name: 'a.example.com', type: 5, TTL: 1, data: 'b.example.com.' };
      const address = query.get('type') === 'A' ? { type: 1, data: '1.1.1.1' } : { type: 28, data: '2606:4700::1' };
      return Response.json({ Status: 0, Answer: [alias, { name: 'b.example.com', TTL: 1, ...address }] });
    });
    expect(await resolve('a.example.com', signal)).toEqual(['1.1.1.1', '2606:4700::1']);
    expect(asked).toEqual([
      'https://dns.example.com/dns-query?name=a.example.com&type=A',
      'https://dns.example.com/dns-query?name=a.example.com&type=AAAA',
    ]);
  });

  it('may know of no such name, or of no address', async () => {
    expect(await server(() => Response.json({ Status: 3 })).resolve('a.example.com', signal)).toEqual([]);
    expect(await server(() => Response.json({ Status: 0 })).resolve('a.example.com', signal)).toEqual([]);
  });

  it.each<[string, () => Response]>([
    ['refuses', () => Response.json({ Status: 5 })],
    ['fails', () => Response.json({ Status: 2, Answer: [{ type: 1, data: '1.1.1.1' }] })],
    ['is not there', () => new Response('', { status: 502 })],
    ['redirects', redirect('https://elsewhere.example.com')],
    ['answers a page', () => new Response('<html>')],
  ])('that %s lets nothing pass', async (_, answer) => {
    await expect(server(answer).resolve('a.example.com', signal)).rejects.toThrow();
    const gate = createImageGate(settings, { fetch: (async () => picture()) as unknown as typeof fetch, resolve: server(answer).resolve });
    await expect(gate(requestFor('https://a.example.com/'), signal)).rejects.toMatchObject({ code: 'image_fetch_failed' });
  });
});
