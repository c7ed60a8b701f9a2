/** Child process: wllama, llama.cpp compiled to WebAssembly, in headless Chromium. Speeds are llama.cpp's own timings. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import { Report, repeat } from '../report.ts';
import { serve } from '../serve.ts';
import { DECODE_TOKENS, TTFT_TOKENS } from '../suite.ts';
import { peerFile } from './install.ts';
import { asQ4K } from './q4-k.ts';

interface Arguments {
  gguf: string;
  model: string;
  /** Q4_K: the GGUF's weights stored as Q4_K, which wllama computes faster with. */
  type: 'Q4_0' | 'Q4_K' | 'GGUF';
  threads: number;
  chromium: string;
  reps: number;
}

/** The part of playwright-core that is used; it is not installed where types are checked. */
interface Playwright {
  chromium: { launch(options: object): Promise<{ newPage(): Promise<Page>; version(): string; close(): Promise<void> }> };
}
interface Page {
  goto(url: string): Promise<unknown>;
  evaluate<A, R>(work: (argument: A) => R, argument: A): Promise<Awaited<R>>;
  setDefaultTimeout(ms: number): void;
}

interface Timings {
  prompt_n: number;
  prompt_ms: number;
  predicted_n: number;
  predicted_ms: number;
}

const { gguf, model, type, threads, chromium, reps } = JSON.parse(process.argv[2]!) as Arguments;
const report = new Report(`wllama ${type}`, model, threads);

const PAGE = `<!doctype html><script type="module">
import { Wllama } from '/wllama/index.js';
window.load = async (threads) => {
  const quiet = { debug() {}, log() {}, warn: console.warn, error: console.error };
  window.wllama = new Wllama({ default: '/wllama/wasm/wllama.wasm' }, { logger: quiet, suppressNativeLog: true });
  const model = new File([await (await fetch('/model.gguf')).blob()], 'model.gguf');
  await wllama.loadModel([model], { n_ctx: 2304, n_batch: 256, n_threads: threads, n_gpu_layers: 0, n_parallel: 1, warmup: false });
  return { threads: wllama.getNumThreads(), version: Wllama.getLibllamaVersion() };
};
window.complete = async (prompt, tokens) => {
  const answer = await wllama.createCompletion({ prompt, max_tokens: tokens, temperature: 0, cache_prompt: false, ignore_eos: true });
  return answer.timings;
};
window.ready = true;
</script>`;

/** Serves the page, wllama and the model, with the headers that let a page have threads. */
async function servePage(file: string): Promise<{ server: Server; url: string }> {
  const types: Record<string, string> = { js: 'text/javascript', wasm: 'application/wasm' };
  const server = createServer(({ url = '/' }, response) => {
    const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
    if (url === '/') return response.writeHead(200, { ...headers, 'content-type': 'text/html' }).end(PAGE);
    const path = url === '/model.gguf' ? file : peerFile(`@wllama/wllama/esm/${url.replace(/^\/wllama\//, '')}`);
    if (url.includes('..') || !existsSync(path)) return response.writeHead(404, headers).end();
    const contentType = types[path.split('.').at(-1)!] ?? 'application/octet-stream';
    response.writeHead(200, { ...headers, 'content-type': contentType, 'content-length': statSync(path).size });
    createReadStream(path).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

interface Window {
  load(threads: number): Promise<{ threads: number; version: string }>;
  complete(prompt: string, tokens: number): Promise<Timings>;
}

async function suite(): Promise<void> {
  const { chromium: launcher } = (await import(pathToFileURL(peerFile('playwright-core/index.mjs')).href)) as Playwright;
  const { server, url } = await servePage(type === 'Q4_K' ? asQ4K(gguf) : gguf);
  // A container seldom has what Chromium's sandbox needs; the page is our own.
  const browser = await launcher.launch({ executablePath: chromium, headless: true, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(url);
    const about = await page.evaluate((count) => (globalThis as unknown as Window).load(count), threads);
    if (about.threads !== threads) throw new Error(`wllama runs on ${about.threads} threads instead of ${threads}.`);
    report.fact('version', `wllama 3.8.1, llama.cpp ${about.version}, Chromium ${browser.version()}`);
    report.fact('build', "the npm package's wllama.wasm, WebAssembly with SIMD");
    const complete = async (tokens: number, answer: number): Promise<Timings> => {
      // It takes text only, and both tokenizers make a token of each digit.
      const prompt = Array.from({ length: tokens }, (_, i) => (i * 7 + 3) % 10).join('');
      const timings = await page.evaluate(([text, count]) => (globalThis as unknown as Window).complete(text, count), [prompt, answer] as [
        string,
        number,
      ]);
      if (timings.prompt_n !== tokens) throw new Error(`wllama evaluated ${timings.prompt_n} prompt tokens instead of ${tokens}.`);
      return timings;
    };
    // One answer gives both figures, since a prompt of 64 alone takes this long; its tokens come at contexts of 65 to 80.
    const answers = await repeat(reps, () => complete(64, DECODE_TOKENS + 1), 0);
    // The first token comes with the prompt.
    report.measured(
      'decode',
      64,
      answers.map(({ predicted_n, predicted_ms }) => (1000 * (predicted_n - 1)) / predicted_ms),
    );
    const prompts = async (tokens: number) => (await complete(tokens, 1)).prompt_ms;
    const times = answers.map(({ prompt_ms }) => prompt_ms);
    report.measured(
      'prefill',
      64,
      times.map((ms) => 64_000 / ms),
    );
    for (const tokens of TTFT_TOKENS) report.measured('ttft_ms', tokens, tokens === 64 ? times : await repeat(1, () => prompts(tokens), 0));
  } finally {
    await browser.close();
    server.close();
  }
}

serve({ suite });
