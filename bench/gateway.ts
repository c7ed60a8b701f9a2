import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keepAwake } from './awake.ts';
import {
  type Contender,
  cores,
  startBare,
  startLeast,
  startOrigin,
  startOurs,
  startOursChoosing,
  startPortkey,
  startPortkeyChoosing,
  v8Flags,
} from './gateway/contenders.ts';
import { Figures } from './gateway/figures.ts';
import { chatBody, Load } from './gateway/load.ts';
import { profileOurs } from './gateway/profile.ts';
import { gatewayTables, musts } from './gateway/table.ts';
import { machine, quantile } from './machine.ts';
import { numberOption } from './options.ts';
import { cpuMs, peakMB, residentMB } from './process.ts';

const HELP = `Usage: npm run bench -- gateway [--quick] [--rounds N] [--let-sleep] [--profile] [--json FILE]

What a gateway adds to a call: the deployed bundle on workerd serve, beside the origin asked directly, a Worker of ten lines that only passes on,
one that does the least that a gateway must (key, request and answer as JSON), and Portkey's gateway (from npm, into .cache/bench/peers): as
it is when it is only told where to send a request, and with as many of our duties as it has settings for, beside ours with as many endpoints. The origin is a
server of ours that takes no time, and then 20 ms, which is quick for a GPU's whole answer. Each contender runs on one core, the origin and the load on the other,
and neither core sleeps, as a virtual one takes long to wake. They take turns in every round; a figure is the median of the rounds' figures, with the smallest and the largest. About seven minutes.

  --quick       two short rounds, without memory
  --rounds N    rounds (6)
  --let-sleep   lets idle cores sleep, as they do under little load; waking is then a part of every figure
  --profile     where our time goes instead: self times of our functions under load, by the inspector's CPU profile
  --json FILE   write all figures
`;

interface Sizes {
  rounds: number;
  /** Divides the numbers of requests. */
  share: number;
  memoryStreams: number;
}

const WHOLE = chatBody('And War and Peace?', false);
const LONG = chatBody('And War and Peace?', false, 64_000);
/** The shortest whole answer of a quick GPU node is hardly there sooner. */
const SLOW = chatBody('And War and Peace? (takes 20 ms)', false);
const CLIENTS = 32;
const PACED_MS = 40;

export async function run(args: string[]): Promise<void> {
  const options = {
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    'let-sleep': { type: 'boolean' },
    profile: { type: 'boolean' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return void process.stdout.write(HELP);
  const sizes: Sizes = values.quick ? { rounds: 2, share: 4, memoryStreams: 0 } : { rounds: 6, share: 1, memoryStreams: 300 };
  if (values.rounds !== undefined) sizes.rounds = numberOption('rounds', values.rounds, { min: 1, whole: true });
  const folder = mkdtempSync(join(tmpdir(), 'nearside-gateway-'));
  const origin = await startOrigin();
  const originUrl = `http://127.0.0.1:${origin.target.port}`;
  const running: Contender[] = [origin];
  const loadBefore = loadavg()[0]!;
  const letSleep = values['let-sleep'] ? null : keepAwake();
  try {
    if (values.profile) return await profileOurs(join(folder, 'ours'), originUrl, WHOLE, running);
    await compare(folder, originUrl, running, sizes, { loadBefore, awake: letSleep !== null }, values.json);
  } finally {
    letSleep?.();
    for (const contender of running) await contender.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compare(
  folder: string,
  originUrl: string,
  running: Contender[],
  sizes: Sizes,
  state: { loadBefore: number; awake: boolean },
  json?: string,
): Promise<void> {
  const [portkey, portkeyChoosing] = [await startPortkey(originUrl), await startPortkeyChoosing(originUrl)];
  running.push(await startBare(join(folder, 'bare'), originUrl), await startLeast(join(folder, 'least'), originUrl));
  running.push(await startOurs(join(folder, 'ours'), originUrl));
  if (typeof portkey === 'string') console.log(`Portkey is left out: ${portkey}.`);
  else running.push(portkey);
  running.push(await startOursChoosing(join(folder, 'ours-choosing'), originUrl));
  if (typeof portkeyChoosing !== 'string') running.push(portkeyChoosing);
  const figures = new Figures();
  const lines = running.map((contender) => ({ contender, load: new Load(contender.target) }));
  for (const { load } of lines) await warmUp(load, sizes);
  for (const { contender, load } of lines)
    if (sizes.memoryStreams > 0 && !contender.wholeOnly) await measureMemory(contender, load, sizes.memoryStreams, figures);
  for (let round = 0; round < sizes.rounds; round++) {
    // Everyone is the first in turn.
    for (let i = 0; i < lines.length; i++) {
      const { contender, load } = lines[(round + i) % lines.length]!;
      await measureRound(contender, load, sizes.share, figures);
    }
    process.stderr.write(`Round ${round + 1} of ${sizes.rounds}\n`);
  }
  for (const { load } of lines) load.close();
  const names = running.map(({ name }) => name);
  const pinned = cores.contender.length > 0 ? 'contenders on core 0, origin and load on core 1' : 'without a core of their own each';
  const facts = { machine: machine(), portkey: portkeyVersion(portkey), pinned, ...state, v8Flags, sizes };
  console.log(gatewayTables(figures, names, facts));
  if (json) writeFileSync(json, `${JSON.stringify({ ...facts, musts: musts(figures, names), figures: figures.all }, null, 2)}\n`);
}

/** Until the compilers of all have seen what there is to see. */
async function warmUp(load: Load, { share }: Sizes): Promise<void> {
  await load.whole(WHOLE, CLIENTS, 100 / share);
  await load.whole(LONG, 1, 40 / share);
  await load.streams(CLIENTS, 1, 50, 4);
}

async function measureRound({ name, pid, wholeOnly }: Contender, load: Load, share: number, figures: Figures): Promise<void> {
  const timed = async (scenario: string, clients: number, each: number, pauseMs: number, body = WHOLE, byTheClock = false) => {
    const cpu = pid === null ? 0 : cpuMs(pid);
    const { ms, seconds } = await load.whole(body, clients, each, pauseMs, byTheClock);
    figures.add(name, scenario, 'p50 ms', quantile(ms, 0.5));
    figures.add(name, scenario, 'p99 ms', quantile(ms, 0.99));
    figures.add(name, scenario, 'requests/s', ms.length / seconds);
    if (pid !== null) figures.add(name, scenario, 'CPU ms', (cpuMs(pid) - cpu) / ms.length);
  };
  await timed('1 client', 1, 800 / share, 0);
  await timed('32 clients, paced', CLIENTS, 40 / share, PACED_MS);
  if (wholeOnly) return;
  await timed('32 clients, by the clock', CLIENTS, 40 / share, PACED_MS, WHOLE, true);
  await timed('1 client, 64 kB', 1, 120 / share, 0, LONG);
  await timed('32 clients, flat out', CLIENTS, 120 / share, 0);
  await timed('1 client, origin takes 20 ms', 1, 80 / share, 0, SLOW);
  await timed('32 clients, paced, origin takes 20 ms', CLIENTS, 28 / share, PACED_MS, SLOW);
  const streamed = async (scenario: string, clients: number, each: number, tokens: number, everyMs: number) => {
    const cpu = pid === null ? 0 : cpuMs(pid);
    const seen = await load.streams(clients, each, tokens, everyMs);
    figures.add(name, scenario, 'TTFT p50 ms', quantile(seen.ttft, 0.5));
    figures.add(name, scenario, 'TTFT p99 ms', quantile(seen.ttft, 0.99));
    figures.add(name, scenario, 'gap p50 ms', quantile(seen.gap, 0.5));
    figures.add(name, scenario, 'gap p99 ms', quantile(seen.gap, 0.99));
    figures.add(name, scenario, 'token late p50 ms', quantile(seen.late, 0.5));
    if (pid !== null) figures.add(name, scenario, 'CPU µs/token', (1000 * (cpuMs(pid) - cpu)) / (clients * each * tokens));
  };
  await streamed('1 stream', 1, 40 / share, 10, 2);
  // Long enough for the CPU time to be the tokens' and not the requests'.
  await streamed('32 streams', CLIENTS, 1, 100, 20);
}

/** Resident memory while many streams are open, above what it was before them. */
async function measureMemory({ name, pid }: Contender, load: Load, streams: number, figures: Figures): Promise<void> {
  if (pid === null) return;
  const before = residentMB(pid);
  const { peak } = await peakMB(pid, load.streams(streams, 1, 20, 250));
  figures.add(name, 'memory', 'before MB', before);
  figures.add(name, 'memory', 'kB/stream', (1024 * (peak - before)) / streams);
}

function portkeyVersion(portkey: Contender | string): string {
  if (typeof portkey === 'string') return portkey;
  const file = new URL('../.cache/bench/peers/node_modules/@portkey-ai/gateway/package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
