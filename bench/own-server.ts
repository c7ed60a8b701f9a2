import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FolderStorage } from '../models/pack/folder-storage.ts';
import { openPack } from '../models/pack/reader.ts';
import { buildServer } from '../scripts/server/build.ts';
import { type Program, startProgram } from '../test/support/own-server.ts';
import { metronome, stream } from './edge.ts';
import { describeMachine, machine, quantile } from './machine.ts';
import { choiceOption, numberOption, packOption } from './options.ts';

const HELP = `Usage: npm run bench -- own-server [--model PACK_DIR] [--threads N] [--nice N] [--runtime workerd|node]... [--rounds N] [--json FILE]

Builds the server and runs gateway and engine as processes of their own, and the edge's clients as a third, which gets what others leave. Prints the
inter-token gaps of streams proxied from an origin while the engine is idle and while it computes four answers of 64 tokens at once, taken by turns, and the ratio of the
99th percentiles, which is to be at most 1.2.

  --model PACK_DIR   default models/demo/pack
  --threads N        of the engine (default: all processors but one)
  --nice N           how far the engine stands back: idle, or 0 to 19 (default: the engine's own, idle)
  --runtime NAME     of the gateway; may be repeated (default both)
  --rounds N         turns of each kind, of about 8 s (default 3)
`;

/** A process that whoever wakes up takes the processor from at once (sched(7): SCHED_IDLE). */
const IDLE = ['chrt', '--idle', '0'];
const MOST = 1.2;
const STREAMS = 4;

interface Figures {
  runtime: string;
  idle: { p50: number; p99: number; gaps: number };
  busy: { p50: number; p99: number; gaps: number; edgeTokensPerSecond: number };
  ratio: number;
}

/** Gaps between the tokens of a few streams, one after the other, milliseconds. */
async function gapsOf(url: string): Promise<number[]> {
  const gaps: number[] = [];
  const one = async () => {
    let last: number | null = null;
    await stream(url, { model: 'metronome', messages: [{ role: 'user', content: 'tick' }] }, (ms) => {
      if (last !== null) gaps.push(ms - last);
      last = ms;
    });
  };
  for (let i = 0; i < STREAMS; i++) await one();
  return gaps;
}

/** The edge's clients, in a process of their own (own-server-load.ts). */
interface Clients {
  start(): void;
  /** Resolves with the tokens made since the start. */
  stop(): Promise<number>;
  end(): void;
}

function startClients(url: string, sessions: number, stopIds: number[]): Clients {
  const script = fileURLToPath(new URL('own-server-load.ts', import.meta.url));
  // They would be on other machines: here they get what all others leave.
  const [command, ...args] = process.platform === 'linux' ? IDLE : ['nice', '-n', '19'];
  const child = spawn(command!, [...args, process.execPath, script, url, String(sessions), stopIds.join()], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return {
    start: () => void child.send('start'),
    stop: async () => {
      child.send('stop');
      const [tokens] = await once(child, 'message');
      return tokens as number;
    },
    end: () => child.disconnect(),
  };
}

async function measure(gateway: Program, runtime: string, stopIds: number[], rounds: number): Promise<Figures> {
  const idle: number[] = [];
  const busy: number[] = [];
  let tokens = 0;
  let ms = 0;
  const clients = startClients(gateway.url, 4, stopIds);
  clients.start();
  await gapsOf(gateway.url);
  await clients.stop();
  for (let round = 0; round < rounds; round++) {
    idle.push(...(await gapsOf(gateway.url)));
    const started = performance.now();
    clients.start();
    busy.push(...(await gapsOf(gateway.url)));
    tokens += await clients.stop();
    ms += performance.now() - started;
  }
  clients.end();
  const figures = (gaps: number[]) => ({ p50: quantile(gaps, 0.5), p99: quantile(gaps, 0.99), gaps: gaps.length });
  const result = { runtime, idle: figures(idle), busy: { ...figures(busy), edgeTokensPerSecond: (tokens / ms) * 1000 } };
  return { ...result, ratio: result.busy.p99 / result.idle.p99 };
}

function print({ runtime, idle, busy, ratio }: Figures): void {
  const row = (what: string, { p50, p99, gaps }: Figures['idle']) =>
    `  engine ${what.padEnd(5)} p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${gaps} gaps of 20 ms nominal)`;
  console.log(
    `\nGateway in ${runtime}\n${row('idle', idle)}\n${row('busy', busy)}; it made ${busy.edgeTokensPerSecond.toFixed(1)} tokens/s`,
  );
  console.log(`  ${ratio <= MOST ? 'ok  ' : 'FAIL'} p99 busy / idle ${ratio.toFixed(2)}, at most ${MOST}`);
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', default: 'models/demo/pack' },
      nice: { type: 'string' },
      threads: { type: 'string', default: String(Math.max(1, availableParallelism() - 1)) },
      runtime: { type: 'string', multiple: true, default: ['workerd', 'node'] },
      rounds: { type: 'string', default: '3' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const rounds = numberOption('rounds', values.rounds, { min: 1, whole: true });
  const model = packOption('model', values.model);
  const runtimes = values.runtime.map((runtime) => choiceOption('runtime', runtime, ['workerd', 'node']));
  const on = machine();
  console.log(`${describeMachine(on)}; engine: ${model}, ${values.threads} threads`);
  const home = mkdtempSync(join(tmpdir(), 'nearside-own-'));
  const origin = await metronome(100);
  const { eosIds } = (await openPack(new FolderStorage(model))).manifest;
  const programs: Program[] = [];
  try {
    await buildServer(home);
    // From the shell that starts the gateway, too.
    const edge = await startProgram(home, [
      'edge',
      '--model',
      model,
      '--port',
      '0',
      '--threads',
      values.threads,
      ...(values.nice ? ['--nice', values.nice] : []),
    ]);
    programs.push(edge);
    const results: Figures[] = [];
    for (const runtime of runtimes) {
      const gateway = await startProgram(home, ['gateway', '--host', '127.0.0.1', '--port', '0', '--runtime', runtime], {
        NEARSIDE_WORKERD: join(dirname(createRequire(import.meta.url).resolve('workerd/package.json')), 'bin/workerd'),
        NEARSIDE_DEV: '1',
        NEARSIDE_EDGE_URL: edge.url,
        NEARSIDE_EDGE_MODEL: 'nearside-edge',
        NEARSIDE_ORIGIN_URL: origin.url,
        NEARSIDE_ORIGIN_MODEL: 'metronome',
      });
      programs.push(gateway);
      results.push(await measure(gateway, runtime, eosIds, rounds));
      print(results.at(-1)!);
    }
    if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine: on, model, threads: values.threads, results }, null, 2)}\n`);
    process.exitCode = results.every(({ ratio }) => ratio <= MOST) ? 0 : 1;
  } finally {
    for (const program of programs) program.process.kill('SIGTERM');
    await Promise.all(programs.map(({ exited }) => exited));
    origin.close();
    rmSync(home, { recursive: true, force: true });
  }
}
