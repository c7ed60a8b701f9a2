import { stream } from './edge.ts';

/**
 * The edge's clients of `npm run bench -- own-server`, in a process of their own: what measures must not wait for them. Keeps `sessions` answers running between the messages
 * 'start' and 'stop'; after the second it sends the tokens that were made. Arguments: URL SESSIONS STOP_IDS, the last with commas between them.
 */
const [url, sessions] = [process.argv[2]!, Number(process.argv[3])];
/** Never drawn: an engine is to be measured that computes, and not a gateway that takes on short answers. */
const logitBias = Object.fromEntries(process.argv[4]!.split(',').map((id) => [id, -100]));

async function ask(session: number, isRunning: () => boolean): Promise<number> {
  let tokens = 0;
  for (let n = 0; isRunning(); n++) {
    const messages = [
      { role: 'user', content: `${n} ${session}: write a long story about a small town near the sea and the people who live there.` },
    ];
    const body = { model: 'nearside-edge', messages, max_tokens: 64, temperature: 1.5, seed: n, logit_bias: logitBias };
    const usage = await stream(url, body, () => {});
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
