/**
 * An engine Worker that does what the last message says, in the words of worker/edge/protocol.ts. Plain JavaScript, because the test runner loads auxiliary
 * Workers as they are.
 *
 *   hello                 "Hello", " there", finish
 *   refuse CODE [PARAM]   refuses with that code, before anything, and names the parameter at fault
 *   fail early | fail late  an error event before or after the first token
 *   cut                   the stream ends without a finish
 *   slow MS N             N tokens, one every MS milliseconds
 *   cap                   ends at the gateway's cap
 *   think                 reasoning, then an answer
 *   echo                  the request as it arrived, as one token of JSON
 *   sure L0 L1 ...        tokens "s0 ", "s1 " ... of these log-probabilities, where the request wants any
 *   count P C             "Hello", " there" after a prompt that has P tokens, C of them cached
 *
 * PUT /state sets `status` (what /status says besides) and `figures` (what every reply says besides).
 */
import { DurableObject } from 'cloudflare:workers';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const rates = { prefill: 100, decode: 10 };

export class EdgeModel extends DurableObject {
  requests = 0;
  aborted = [];
  state = {};

  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/status') return Response.json({ ...status, figures: this.state.figures, ...this.state.status });
    if (pathname === '/state') {
      this.state = await request.json();
      return new Response();
    }
    if (pathname === '/seen') return Response.json({ requests: this.requests, aborted: this.aborted });
    const body = await request.json();
    this.requests++;
    const [command, ...args] = body.messages.at(-1).content.split(' ');
    if (command === 'refuse') {
      const refusal = { refused: args[0], message: `Scripted: ${args[0]}.`, promptTokens: args[0] === 'prompt_too_long' ? 300 : null, retryAfter: 3, param: args[1], figures: this.state.figures };
      return Response.json(refusal, { status: 503 });
    }
    const events = script(body, command, args, this.state.figures);
    const encoder = new TextEncoder();
    const aborted = this.aborted;
    const stream = new ReadableStream(
      {
        async pull(controller) {
          const { done, value } = await events.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
        },
        cancel() {
          aborted.push(body.id);
        },
      },
      { highWaterMark: 0 },
    );
    request.signal.addEventListener('abort', () => {
      aborted.push(body.id);
    });
    return new Response(stream);
  }
}

async function* script(body, command, args, figures) {
  const finish = (reason, completionTokens, extra = {}) => ({
    type: 'finish',
    reason,
    cap: false,
    promptTokens: 7,
    completionTokens,
    reasoningTokens: 0,
    rates,
    figures,
    ...extra,
  });
  const [promptTokens, cachedTokens] = command === 'count' ? args.map(Number) : [7, 2];
  yield { type: 'start', model: status.model, promptTokens, cachedTokens, queueMs: 0, figures };
  if (command === 'fail' && args[0] === 'early') {
    yield { type: 'error', code: 'engine_failed', message: 'Scripted failure.' };
  } else if (command === 'fail') {
    yield { type: 'delta', content: 'Hel', tokens: 1 };
    yield { type: 'error', code: 'engine_failed', message: 'Scripted failure.' };
  } else if (command === 'cut') {
    yield { type: 'delta', content: 'Hel', tokens: 1 };
  } else if (command === 'slow') {
    const [ms, tokens] = args.map(Number);
    for (let i = 0; i < tokens; i++) {
      await sleep(ms);
      yield { type: 'delta', content: `${i} `, tokens: i + 1 };
    }
    yield finish('stop', tokens);
  } else if (command === 'cap') {
    yield { type: 'delta', content: 'on and on', tokens: body.capTokens };
    yield finish('length', body.capTokens, { cap: true });
  } else if (command === 'think') {
    yield { type: 'delta', reasoning: 'Hm.', tokens: 1 };
    yield { type: 'delta', content: 'Yes.', tokens: 2 };
    yield finish('stop', 2, { reasoningTokens: 1 });
  } else if (command === 'echo') {
    yield { type: 'delta', content: JSON.stringify(body), tokens: 1 };
    yield finish('stop', 1);
  } else if (command === 'sure') {
    for (const [i, value] of args.map(Number).entries()) {
      const entry = (token, logprob) => ({ token, logprob, bytes: [...new TextEncoder().encode(token)] });
      const others = [entry(`s${i} `, value), entry('x', value - 1)].slice(0, body.topLogprobs ?? 0);
      const logprobs = body.topLogprobs === null ? {} : { logprobs: [{ ...entry(`s${i} `, value), top_logprobs: others }] };
      await sleep(1);
      yield { type: 'delta', content: `s${i} `, tokens: i + 1, ...logprobs };
    }
    yield finish('stop', args.length);
  } else {
    const logprob = (token) => ({ token, logprob: -0.5, bytes: [...new TextEncoder().encode(token)], top_logprobs: [] });
    const logprobs = (token) => (body.topLogprobs === null ? {} : { logprobs: [logprob(token)] });
    yield { type: 'delta', content: 'Hello', tokens: 1, ...logprobs('Hello') };
    yield { type: 'delta', content: ' there', tokens: 2, ...logprobs(' there') };
    yield finish('stop', 2);
  }
}

const status = {
  model: 'edge-test',
  fixture: true,
  state: 'ready',
  error: null,
  quantization: 'q4_0',
  running: 0,
  queued: 0,
  queueLimit: 8,
  contextLength: 512,
  loadMs: 1,
  memory: { wasmBytes: 1, weightBytes: 1, sessionBytes: 0 },
  rates,
};

export default { fetch: () => new Response(null, { status: 404 }) };
