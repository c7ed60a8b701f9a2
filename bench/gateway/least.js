/**
 * The least that a gateway of ours could do for a whole answer, without settings, choice, limits, retries, logs or errors that explain themselves: check the key, read the
 * request as JSON, ask the origin, read its answer as JSON, pass it on.
 */
let accepted = null;

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === '/healthz') return new Response('ok');
    const key = request.headers.get('authorization')?.slice('Bearer '.length);
    if (key === undefined || (key !== accepted && (await digestOf(key)) !== env.KEY_DIGEST)) return new Response(null, { status: 401 });
    accepted = key;
    const chat = JSON.parse(new TextDecoder().decode(await request.arrayBuffer()));
    if (!Array.isArray(chat.messages)) return new Response(null, { status: 400 });
    const { signal } = request;
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(env.ORIGIN + pathname, { method: 'POST', headers, body: JSON.stringify(chat), signal });
    if (chat.stream) return new Response(response.body, response);
    const bytes = await response.arrayBuffer();
    const { choices } = JSON.parse(new TextDecoder().decode(bytes));
    return response.ok && Array.isArray(choices) ? new Response(bytes, { headers }) : new Response(null, { status: 502 });
  },
};

async function digestOf(key) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))).toHex();
}
