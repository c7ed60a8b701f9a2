import { stream } from './edge.ts';

/**
 * The edge's clients of `npm run bench -- own-server`, in a process of their own: what measures must not wait for them. Keeps `sessions` answers running between the messages
 * 'start' and 'stop'; after the second it sends the tokens that were made. Arguments: URL SESSIONS.
 */
const [url, sessions] = [process.argv[2]!, Number(process.argv[3])];

async function ask(session: number, isRunning: () => boolean): Promise<number> {
  let tokens = 0;
  for (let n = 0; isRunning(); n++) {
    const messages = [
      { role: 'user', content: `${n} ${session}: write a long story about a small town near the sea and the people who live there.` },
    ];
    // Unlikely tokens are likelier, so that no model stops at once.
    const usage = await stream(url, { model: 'nearside-edge', messages, max_tokens: 64, temperature: 1.5, seed: n }, () => {});
    tokens += usage.completion_tokens;
  }
  return tokens;
}

let running = false;
let asking: Promise<number[]> = Promise.resolve([]);
process.on('message', async (message) => {
  running = message === 'start';
  if (running) asking = Promise.all(Array.from({ length: sessions }, (_, session) => ask(session, () => running)));
  else process.send?.((await asking).reduce((sum, tokens) => sum + tokens, 0));
});
process.on('disconnect', () => process.exit());
