import { Agent, type IncomingMessage, request } from 'node:http';

/** Who is asked. */
export interface Target {
  port: number;
  path: string;
  headers: Record<string, string>;
}

/** Keeps so many clients busy; returns when all have done their share. */
async function together(clients: number, work: (client: number) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A target's connections, kept alive. */
export class Load {
  readonly #target: Target;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(target: Target) {
    this.#target = target;
  }

  close(): void {
    this.#agent.destroy();
  }

  /**
   * Whole answers: so many requests by each client, one after the other.
   * @param pauseMs between an answer and the next request; by the clock, from one request to the next one, whose time counts from when it was due. Clients that pause after their answers meet behind every
   *   wait that several of them share, and stay together from then on; by the clock they stay apart
   * @returns how long each took, milliseconds, and how long it took altogether, seconds
   */
  async whole(body: string, clients: number, each: number, pauseMs = 0, byTheClock = false): Promise<{ ms: number[]; seconds: number }> {
    const ms: number[] = [];
    const start = performance.now();
    await together(clients, async (client) => {
      // Not all at once.
      if (pauseMs > 0) await pause((pauseMs * client) / clients);
      const begun = performance.now();
      for (let i = 0; i < each; i++) {
        const [now, due] = [performance.now(), begun + i * pauseMs];
        // Whom the last answer has made late has been waiting since then; a timer's lateness is nobody's.
        const isLate = byTheClock && i > 0 && now > due;
        if (pauseMs > 0 && i > 0 && !isLate) await pause(byTheClock ? due - now : pauseMs);
        const since = isLate ? due : performance.now();
        await drain(await this.#ask(body));
        ms.push(performance.now() - since);
      }
    });
    return { ms, seconds: (performance.now() - start) / 1000 };
  }

  /**
   * Streams of `tokens` tokens, one every `everyMs`: so many by each client.
   * @returns time to first token and time between tokens, milliseconds. @throws when a token is missing
   */
  async streams(
    clients: number,
    each: number,
    tokens: number,
    everyMs: number,
  ): Promise<{ ttft: number[]; gap: number[]; late: number[] }> {
    const seen = { ttft: [] as number[], gap: [] as number[], late: [] as number[] };
    const body = chatBody(`tokens ${tokens} every ${everyMs}`, true);
    await together(clients, async (client) => {
      await pause((everyMs * client) / clients);
      for (let i = 0; i < each; i++) {
        const sent = performance.now();
        const arrivals = await readTokens(await this.#ask(body), tokens);
        seen.ttft.push(arrivals[0]!.at - sent);
        for (const [j, { at, late }] of arrivals.entries()) {
          if (j > 0) seen.gap.push(at - arrivals[j - 1]!.at);
          seen.late.push(late);
        }
      }
    });
    return seen;
  }

  #ask(body: string): Promise<IncomingMessage> {
    const { port, path, headers } = this.#target;
    const all = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers };
    return new Promise((resolve, reject) => {
      const outgoing = request({ port, host: '127.0.0.1', path, method: 'POST', headers: all, agent: this.#agent }, resolve);
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

/** A conversation of about a kilobyte with `question` at its end; `promptBytes` makes it longer. */
export function chatBody(question: string, stream: boolean, promptBytes = 800): string {
  const background = 'You answer briefly, in whole sentences, and say so when you do not know. '.repeat(Math.ceil(promptBytes / 73));
  const messages = [
    { role: 'system', content: background.slice(0, promptBytes) },
    { role: 'user', content: 'Who wrote Anna Karenina?' },
    { role: 'assistant', content: 'Leo Tolstoy did, between 1873 and 1877.' },
    { role: 'user', content: question },
  ];
  return JSON.stringify({ model: 'pool', messages, temperature: 0.7, max_tokens: 200, stream });
}

async function drain(response: IncomingMessage): Promise<void> {
  let bytes = 0;
  response.on('data', (part) => {
    bytes += part.length;
  });
  await ended(response);
  if (response.statusCode !== 200 || bytes < 500) throw new Error(`The answer has status ${response.statusCode} and ${bytes} bytes.`);
}

/** When each token came, and how long after it had been sent, milliseconds. */
async function readTokens(response: IncomingMessage, count: number): Promise<{ at: number; late: number }[]> {
  const arrivals: { at: number; late: number }[] = [];
  let text = '';
  response.setEncoding('utf8').on('data', (part) => {
    const at = performance.now();
    const now = Number(process.hrtime.bigint() / 1000n);
    text += part;
    for (const [, index, sent] of text.matchAll(/"content":"(\d+)@(\d+) "/g)) {
      if (Number(index) !== arrivals.length) response.destroy(new Error(`Token ${arrivals.length} is missing.`));
      arrivals.push({ at, late: (now - Number(sent)) / 1000 });
    }
    // What may be the beginning of an event that goes on in the next part.
    text = text.slice(text.lastIndexOf('\n\n') + 1);
  });
  await ended(response);
  if (arrivals.length !== count) throw new Error(`${arrivals.length} of ${count} tokens came, with status ${response.statusCode}.`);
  return arrivals;
}

function ended(response: IncomingMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    response
      .once('end', resolve)
      .once('error', reject)
      .once('aborted', () => reject(new Error('The answer ends early.')));
  });
}
