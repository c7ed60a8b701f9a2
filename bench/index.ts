import { runOrTell } from './options.ts';

/**
 * `npm run bench -- NAME [options]`: side-by-side measurements. Each benchmark prints a table and, with `--json FILE`, writes its figures with the machine,
 * versions and sizes they were measured on.
 */
export interface Benchmark {
  /** One line for the list. */
  about: string;
  load(): Promise<{ run(args: string[]): Promise<void> }>;
}

const BENCHMARKS: Record<string, Benchmark> = {
  demo: {
    about: 'the demo model: exact match on its held-out prompts, asked over HTTP under wrangler dev',
    load: () => import('./demo.ts'),
  },
  edge: {
    about: 'the edge model under wrangler dev: load, memory, prefill, decode, time to first token, and what it does to proxied streams',
    load: () => import('./edge.ts'),
  },
  engine: {
    about:
      'the engine beside llama.cpp, wllama and onnxruntime-web from the same GGUF: speed, memory, load, the roofline, and the ratios to keep',
    load: () => import('./engine.ts'),
  },
  gateway: {
    about: 'what the gateway adds to a call: beside the origin alone, a bare pass-through Worker and Portkey, whole and streamed',
    load: () => import('./gateway.ts'),
  },
  pipeline: {
    about: 'a model over several isolates beside one: decode, memory of each, cold start, answers while stages are killed, soak',
    load: () => import('./pipeline.ts'),
  },
  'own-server': {
    about: "a server of one's own, gateway and engine in two processes: what a busy engine does to proxied streams",
    load: () => import('./own-server.ts'),
  },
  quality: {
    about: 'what quantization costs: perplexity and top-1 agreement of q4_0 and q8_0 packs against f32',
    load: () => import('./quality.ts'),
  },
  routing: {
    about: 'the difficulty model on subjects that it never saw, against prompt length and random mixing',
    load: () => import('./routing.ts'),
  },
  pick: {
    about: 'how the gateway picks an endpoint, simulated on a trace: prefix cache hits and time to first token beside simpler ways',
    load: () => import('./pick.ts'),
  },
  streams: {
    about: 'many streams at once through one workerd: frames lost, memory per stream, and what clients that do not read cost',
    load: () => import('./streams.ts'),
  },
};

const [name, ...args] = process.argv.slice(2);
const benchmark = name === undefined ? undefined : BENCHMARKS[name];
if (benchmark) {
  await runOrTell(`npm run bench -- ${name} --help`, async () => (await benchmark.load()).run(args));
} else {
  const list = Object.entries(BENCHMARKS).map(([key, { about }]) => `  ${key.padEnd(12)}${about}`);
  const text = `Usage: npm run bench -- NAME [--help]\n\n${list.join('\n')}\n`;
  if (name === undefined || name === '--help' || name === '-h') process.stdout.write(text);
  else {
    process.stderr.write(`There is no benchmark "${name}".\n${text}`);
    process.exitCode = 1;
  }
}
