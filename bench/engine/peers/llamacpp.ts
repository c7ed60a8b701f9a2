/** Child process: native llama.cpp, in node-llama-cpp's prebuilt build. */
import { pathToFileURL } from 'node:url';
import { LLAMACPP } from '../ratios.ts';
import { Report, repeat } from '../report.ts';
import { serve } from '../serve.ts';
import { DECODE_TOKENS, TTFT_TOKENS } from '../suite.ts';
import { peerFile } from './install.ts';

interface Arguments {
  gguf: string;
  model: string;
  /** Tokens of the vocabulary. */
  tokenCount: number;
  threads: number;
  quick: boolean;
  reps: number;
}

/** The part of node-llama-cpp that is used; it is not installed where types are checked. */
interface Llama {
  systemInfo: string;
  buildType: string;
  llamaCppRelease: { repo: string; release: string };
  loadModel(options: { modelPath: string; gpuLayers: number }): Promise<Model>;
}
interface Model {
  createContext(options: { contextSize: number; batchSize: number; sequences: number; threads: { ideal: number; min: number } }): Promise<{
    currentThreads: number;
    getSequence(): Sequence;
  }>;
}
interface Sequence {
  clearHistory(): Promise<void>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
  evaluate(tokens: number[], options: { temperature: number; yieldEogToken: boolean }): AsyncGenerator<number>;
}

const { gguf, model, tokenCount, threads, quick, reps } = JSON.parse(process.argv[2]!) as Arguments;
const report = new Report(LLAMACPP, model, threads);
const { getLlama } = (await import(pathToFileURL(peerFile('node-llama-cpp/dist/index.js')).href)) as {
  getLlama(options: object): Promise<Llama>;
};
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: threads,
  progressLogs: false,
  logLevel: 'error',
});
report.fact('build', `node-llama-cpp 3.22.1 ${llama.buildType}, llama.cpp ${llama.llamaCppRelease.release}`);
report.fact('CPU features', llama.systemInfo.trim());
const loaded = await llama.loadModel({ modelPath: gguf, gpuLayers: 0 });
const context = await loaded.createContext({ contextSize: 2304, batchSize: 512, sequences: 1, threads: { ideal: threads, min: threads } });
if (context.currentThreads !== threads) throw new Error(`llama.cpp runs on ${context.currentThreads} threads instead of ${threads}.`);
const sequence = context.getSequence();

const prompt = (tokens: number) => Array.from({ length: tokens }, (_, i) => (i * 7919 + 301) % tokenCount);

/** Milliseconds of `tokens` tokens, greedy, after `last`; the token that comes of `last` itself is not timed. */
async function timeDecode(last: number, tokens: number): Promise<number> {
  let started = 0;
  let count = 0;
  while (count <= tokens) {
    // Random weights may end a text at any time; a new generation then goes on from there.
    for await (const token of sequence.evaluate([last], { temperature: 0, yieldEogToken: true })) {
      if (count === 0) started = performance.now();
      last = token;
      if (count++ === tokens) break;
    }
  }
  return performance.now() - started;
}

/** Tokens per second in `groups` groups of tokens, one after the other, the middle one at the context length. */
async function decode(contextLength: number, groups: number): Promise<number[]> {
  await sequence.clearHistory();
  await sequence.evaluateWithoutGeneratingNewTokens(prompt(contextLength - Math.floor((DECODE_TOKENS * groups) / 2)));
  const rates: number[] = [];
  while (rates.length < groups) rates.push((1000 * DECODE_TOKENS) / (await timeDecode(5, DECODE_TOKENS)));
  return rates;
}

async function prefill(tokens: number): Promise<number> {
  await sequence.clearHistory();
  const started = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(prompt(tokens));
  return (1000 * tokens) / (performance.now() - started);
}

async function ttft(tokens: number): Promise<number> {
  await sequence.clearHistory();
  const started = performance.now();
  for await (const _ of sequence.evaluate(prompt(tokens), { temperature: 0, yieldEogToken: true })) break;
  return performance.now() - started;
}

serve({
  async suite() {
    report.measured('decode', 64, await repeat(reps, async () => (await decode(64, 1))[0]!));
    report.measured('prefill', 64, await repeat(reps, () => prefill(64)));
    if (!quick) {
      for (const tokens of TTFT_TOKENS) report.measured('ttft_ms', tokens, await repeat(reps, () => ttft(tokens)));
      report.measured('decode', 2048, await decode(2048, reps));
    }
    report.measured('rss_mb', 'peak', [process.resourceUsage().maxRSS / 1024]);
  },
  async run(job) {
    if (job.name === 'decode' && job.sessions === 1 && job.tokens === DECODE_TOKENS) return (await decode(job.context, 1))[0]!;
    if (job.name === 'prefill') return prefill(job.tokens);
    throw new Error(`llama.cpp is not asked for ${JSON.stringify(job)}`);
  },
});
