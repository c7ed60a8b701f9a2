import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FolderStorage } from '../models/pack/folder-storage.ts';
import { openPack } from '../models/pack/reader.ts';
import { createHttpEdgeClient } from '../worker/edge/http-client.ts';
import type { EdgeAnswer, EdgeClient, EdgeEvent, EdgeRequest } from '../worker/edge/protocol.ts';
import { type Image, readImage } from './container/dockerfile.ts';
import { memoryLimit } from './container/memory-limit.ts';
import { assemble, peakResident } from './container/root.ts';
import { whole } from './edge-node/options.ts';
import { UsageError } from './edge-node/usage-error.ts';
import { usageSentence } from './run-script.ts';
import { buildServer } from './server/build.ts';

const HELP = `npm run container:check -- [--model PACK_DIR] [--memory MIB]

Tries the image of the edge engine (deploy/container/Dockerfile) without a container engine: puts its files, and no others, into a folder, and runs its command there
with that folder as the root, as the image's user, under a memory limit. Prints the cold start, the peak of memory, and how it drains. Linux, as root.

  --model PACK_DIR   the pack in the image (default models/demo/pack)
  --memory MIB       the limit (default 1024)`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PORT = 8788;
const KEY = 'container-check';
const never = new AbortController().signal;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts an answer of so many tokens; resolves at the first one, with what waits for the last event. */
type Begin = (maxTokens: number, content: string) => Promise<() => Promise<EdgeEvent | null>>;

const request = (maxTokens: number, content: string, eosIds: number[]): EdgeRequest => ({
  id: 'container-check',
  messages: [{ role: 'user', content }],
  templateOptions: {},
  // To be asked for a long answer, a model must not be able to end it.
  sampling: { seed: 1, temperature: 1.5, logitBias: Object.fromEntries(eosIds.map((id) => [id, -100])) },
  maxTokens,
  capTokens: null,
  maxPromptTokens: null,
  stop: [],
  topLogprobs: null,
});

async function check(model: string, limitMiB: number): Promise<boolean> {
  const work = mkdtempSync(join(tmpdir(), 'nearside-container-'));
  const limit = memoryLimit(limitMiB * 1024 ** 2);
  try {
    const pack = isAbsolute(model) ? relative(ROOT, model) : model;
    const image = readImage(readFileSync(join(ROOT, 'deploy/container/Dockerfile'), 'utf8'), { PACK: pack });
    const out = join(work, 'out');
    await buildServer(join(out, 'nearside'));
    const built = (path: string) =>
      path === '/usr/local/bin/node' ? process.execPath : path.startsWith('/out/') ? join(work, path) : path;
    const root = join(work, 'root');
    assemble(root, image, ROOT, built);
    console.log(
      `Command      ${image.command.join(' ')}\nUser         ${image.user}\nLimit        ${limitMiB} MiB, ${limit?.kind ?? 'NOT ENFORCED: no control group can be made here'}`,
    );
    const { manifest } = await openPack(new FolderStorage(join(ROOT, pack)));
    return await run(image, root, limit, manifest.eosIds);
  } finally {
    limit?.remove();
    rmSync(work, { recursive: true, force: true });
  }
}

async function run(image: Image, root: string, limit: ReturnType<typeof memoryLimit>, eosIds: number[]): Promise<boolean> {
  const { spawn } = await import('node:child_process');
  // chroot starts in the new root, whatever WORKDIR says: the program has no use for it.
  const command = [...(limit?.launcher ?? []), 'chroot', `--userspec=${image.user}`, root, '/usr/bin/env', '-i'];
  const settings = { NEARSIDE_EDGE_KEY: KEY, NEARSIDE_EDGE_MEMORY_BYTES: '800000000' };
  const env = Object.entries({ ...image.env, ...settings }).map(([name, value]) => `${name}=${value}`);
  const started = performance.now();
  const child = spawn(command[0]!, [...command.slice(1), ...env, ...image.command], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk) => (errors += chunk));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  try {
    const url = `http://127.0.0.1:${PORT}`;
    while ((await status(`${url}/readyz`)) !== 200) {
      if (child.exitCode !== null || performance.now() - started > 120_000)
        throw new Error(`The image's command does not get ready:\n${errors}`);
      await pause(10);
    }
    const readyMs = performance.now() - started;
    const client = createHttpEdgeClient(url, KEY);
    const begin: Begin = (maxTokens, content) => beginAnswer(client, request(maxTokens, content, eosIds));
    const first = await begin(4, 'Hello');
    const answerMs = performance.now() - started;
    await first();
    console.log(`Cold start   ready after ${readyMs.toFixed(0)} ms, first token after ${answerMs.toFixed(0)} ms`);
    const answers = await Promise.all(Array.from({ length: 4 }, (_, i) => begin(64, `Tell me about ${i} towns near the sea.`)));
    await Promise.all(answers.map((end) => end()));
    const drained = await drain(
      begin,
      url,
      () => child.kill('SIGTERM'),
      exited,
      () => {
        const resident = peakResident(child.pid!);
        console.log(
          `Memory       at most ${(resident / 1e6).toFixed(0)} MB resident${limit ? `, ${(limit.peakBytes() / 1e6).toFixed(0)} MB in the group (with page cache), ${limit.kills()} kills` : ''}`,
        );
      },
    );
    return drained && (limit?.kills() ?? 0) === 0;
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
    await exited;
  }
}

async function beginAnswer(client: EdgeClient, asked: EdgeRequest): ReturnType<Begin> {
  const answer: EdgeAnswer = await client.generate(asked, never);
  if (!answer.accepted) throw new Error(`Refused: ${answer.message}`);
  const events = answer.events[Symbol.asyncIterator]();
  let last: EdgeEvent | null = null;
  const next = async () => {
    const { value, done } = await events.next();
    if (value) last = value;
    return done !== true;
  };
  while ((await next()) && last!.type === 'start');
  return async () => {
    while (await next());
    return last;
  };
}

async function drain(begin: Begin, url: string, stop: () => void, exited: Promise<number | null>, before: () => void): Promise<boolean> {
  const ends = await Promise.all([1, 2, 3, 4].map((n) => begin(128, `Write ${n} long stories about a small town near the sea.`)));
  before();
  const told = performance.now();
  stop();
  let ready = await status(`${url}/readyz`);
  while (ready === 200) ready = await status(`${url}/readyz`);
  const refused = await begin(4, 'Hello').then(
    () => false,
    () => true,
  );
  const last = await Promise.all(ends.map((end) => end()));
  const finished = last.filter((event) => event?.type === 'finish').length;
  const code = await exited;
  const ok = ready === 503 && refused && finished === ends.length && code === 0;
  console.log(
    `Drain        ${ok ? 'ok' : 'FAILED'}: /readyz ${ready}, a new request is ${refused ? 'refused' : 'taken'}, ${finished} of ${ends.length} running answers finished, exit code ${code} ${(performance.now() - told).toFixed(0)} ms after SIGTERM`,
  );
  return ok;
}

const status = (url: string): Promise<number> =>
  fetch(url).then(
    async (response) => {
      await response.body?.cancel();
      return response.status;
    },
    () => 0,
  );

try {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: 'models/demo/pack' },
      memory: { type: 'string', default: '1024' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) console.log(HELP);
  else {
    if (process.platform !== 'linux' || process.getuid?.() !== 0)
      throw new UsageError('This needs Linux and root: it changes the root folder, the user and the memory limit of what it runs.');
    if ((await status(`http://127.0.0.1:${PORT}/healthz`)) !== 0)
      throw new UsageError(`Port ${PORT}, the image's, is in use: stop what listens there.`);
    process.exitCode = (await check(values.model, whole('memory', values.memory, 64, 1_000_000))) ? 0 : 1;
  }
} catch (error) {
  console.error(usageSentence(error) ?? (error instanceof UsageError ? error.message : error));
  process.exitCode = 1;
}
