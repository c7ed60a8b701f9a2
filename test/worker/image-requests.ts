import { inject } from 'vitest';
import { chatWith, type Environment, endpoint, environment, seenByOrigin, type Variables, withPools } from './support.ts';

const sight = { model: 'sight', endpoints: [endpoint('sight-1')], retries: 0 };
const tagged = (id: string) => ({
  headers: { 'x-request-id': id, cookie: 'a=b', authorization: 'Bearer client-key', 'x-forwarded-for': '8.8.8.8' },
});
export const question = { type: 'text', text: 'What is this?' };
export const image = (url: string, more: object = {}) => ({ type: 'image_url', image_url: { url, ...more } });
export const messagesWith = (...parts: object[]) => [
  { role: 'system', content: 'Look closely.' },
  { role: 'user', content: [...parts, question] },
];

/** The internet as it is here: https://NAME.example.com/ID/SCRIPT is a real connection to a server that plays the script. */
export const internet = {
  fetch(url: string, init: RequestInit) {
    const { protocol, hostname, pathname } = new URL(url);
    if (protocol !== 'https:' || !hostname.endsWith('.example.com')) throw new Error(`a request to ${url}`);
    return fetch(`${inject('originUrl').replace(/\/v1$/, '')}/files${pathname}`, init);
  },
} as unknown as Fetcher;

export const address = (id: string, script: string) => `https://images.example.com/${id}/${encodeURIComponent(script)}`;
const written = (bytes: Uint8Array) => Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
/** A script that answers with a file. */
export const sends = (bytes: Uint8Array, type = 'image/webp') => `type ${type}; write ${written(bytes)}`;

export const gateway = (variables: Variables = {}, more: object = {}) =>
  environment({ ...withPools([sight], variables), ...more } as Environment);
/** A gateway that fetches images itself. */
export const fetching = (variables: Variables = {}) => gateway({ NEARSIDE_FETCH_IMAGES: '1', ...variables }, { IMAGE_NETWORK: internet });
export const ask = (env: ReturnType<typeof gateway>, id: string, parts: object[], body: object = {}, signal?: AbortSignal) =>
  chatWith(env, '', { model: 'sight', messages: messagesWith(...parts), ...body }, { ...tagged(id), signal });

/** The parts of the user's message, as the origin got them. */
// biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
export const partsAtOrigin = async (id: string): Promise<any[]> => ((await seenByOrigin(id))!.body.messages as any[])[1].content;
