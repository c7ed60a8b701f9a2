import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-web/wasm';
import { createClassifier, type Prediction, type Runtime } from '../worker/difficulty/classifier.ts';
import { machine, median, quantile } from './machine.ts';
import { fileOption, numberOption } from './options.ts';
import { HELD_OUT, type LabelledPrompt, readPrompts, withoutOptions } from './routing/dataset.ts';
import { measure, type Ranking, rank, reliability, resample } from './routing/metrics.ts';

const HELP = `Usage: npm run bench -- routing --data FILE [--model FILE] [--samples N] [--json FILE]

How well the difficulty model ranks prompts of subjects that it never saw, against prompt length and random mixing.
--data     CSV (may be gzipped): task, prompt, weak_correct, strong_correct; RouteLLM's MMLU and GSM8K
--model    the ONNX file (models/router/difficulty.onnx)
--samples  bootstrap samples (1000)
`;

const MEASURES: (keyof Ranking)[] = ['aucHelps', 'aucFails', 'apgr', 'cpt50', 'cpt80'];
const TITLES: Record<keyof Ranking, string> = {
  aucHelps: 'AUC weak fails, strong not',
  aucFails: 'AUC weak fails',
  apgr: 'APGR',
  cpt50: 'CPT(50 %)',
  cpt80: 'CPT(80 %)',
};

type Interval = [low: number, high: number];
interface Scored {
  value: Ranking;
  byPrompt: Record<keyof Ranking, Interval>;
  bySubject: Record<keyof Ranking, Interval>;
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      data: { type: 'string' },
      model: { type: 'string', default: new URL('../models/router/difficulty.onnx', import.meta.url).pathname },
      samples: { type: 'string', default: '1000' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || !values.data) {
    process.stdout.write(HELP);
    if (!values.help) process.exitCode = 1;
    return;
  }
  const samples = numberOption('samples', values.samples, { min: 1, whole: true });
  const prompts = readPrompts(fileOption('data', values.data)).filter(({ fold }) => fold === HELD_OUT);
  const times: number[] = [];
  const full = await predictAll(values.model, prompts.map(({ text }) => text), times); // biome-ignore format: one line
  const bare = await predictAll(values.model, prompts.map(({ text }) => withoutOptions(text)), []); // biome-ignore format: one line

  const sections = [];
  const isMmlu = prompts.map(({ task }) => task !== 'gsm8k');
  for (const [name, predictions, keep] of [
    ['held-out subjects and GSM8K part', full, prompts.map(() => true)],
    ['held-out subjects of MMLU only', full, isMmlu],
    ['held-out, questions without their options', bare, prompts.map(() => true)],
  ] as const) {
    const kept = prompts.filter((_, i) => keep[i]);
    const scores = predictions.filter((_, i) => keep[i]);
    sections.push({ name, prompts: kept.length, ...compare(kept, scores, samples) });
  }
  const curves = {
    weakFails: reliability(full.map((p) => p.weakFails), prompts.map((p) => 1 - p.weakCorrect), 10), // biome-ignore format: one line
    strongHelps: reliability(full.map((p) => p.strongHelps), prompts.map((p) => (1 - p.weakCorrect) * p.strongCorrect), 10), // biome-ignore format: one line
  };
  const msPerPrompt = { p50: median(times), p99: quantile(times, 0.99) };
  for (const section of sections) printSection(section);
  printReliability(curves);
  console.log(
    `\n${msPerPrompt.p50.toFixed(2)} ms a prompt (p50; p99 ${msPerPrompt.p99.toFixed(2)}), features and onnxruntime-web in Node, one thread`,
  );
  if (values.json)
    writeFileSync(values.json, `${JSON.stringify({ machine: machine(), samples, msPerPrompt, sections, reliability: curves }, null, 2)}\n`);
}

async function predictAll(path: string, texts: string[], times: number[]): Promise<Prediction[]> {
  ort.env.wasm.numThreads = 1;
  const classifier = createClassifier({
    loadModel: async () => readFileSync(path),
    loadRuntime: async () => ort as unknown as Runtime,
    onFailure: (message) => {
      throw new Error(message);
    },
  });
  const predictions: Prediction[] = [];
  for (const text of texts) {
    const started = performance.now();
    const prediction = await classifier.predict(text);
    times.push(performance.now() - started);
    if (!prediction) throw new Error('The difficulty model gave no answer.');
    predictions.push(prediction);
  }
  return predictions;
}

/** The model by what escalating gains, the model by how likely the weak one fails, and length; each with intervals, and the first less the last. */
function compare(prompts: LabelledPrompt[], predictions: Prediction[], samples: number) {
  const candidates = {
    'model: strongHelps': rank(predictions.map((p) => p.strongHelps)),
    'model: weakFails': rank(predictions.map((p) => p.weakFails)),
    'length only': rank(prompts.map(({ text }) => new TextEncoder().encode(text).length)),
  };
  const all = (counts: ArrayLike<number>) => {
    const values = Object.values(candidates).map((ties) => measure(ties, prompts, counts)) as [Ranking, Ranking, Ranking];
    return [...values, minus(values[0], values[2]), minus(values[1], values[2])];
  };
  const names = [...Object.keys(candidates), 'strongHelps - length', 'weakFails - length'];
  const values = all(new Int32Array(prompts.length).fill(1));
  const drawn = {
    prompt: [...resample(prompts, 'prompt', samples)].map(all),
    subject: [...resample(prompts, 'subject', samples)].map(all),
  };
  const interval = (unit: 'prompt' | 'subject', row: number) =>
    Object.fromEntries(
      MEASURES.map((key) => {
        const sample = drawn[unit].map((rows) => rows[row]![key]);
        return [key, [quantile(sample, 0.025), quantile(sample, 0.975)]];
      }),
    ) as Record<keyof Ranking, Interval>;
  const scored = names.map((name, row): [string, Scored] => [
    name,
    { value: values[row]!, byPrompt: interval('prompt', row), bySubject: interval('subject', row) },
  ]);
  return { scores: Object.fromEntries(scored), curve: costQuality(candidates['model: strongHelps'], prompts) };
}

const minus = (a: Ranking, b: Ranking): Ranking => Object.fromEntries(MEASURES.map((key) => [key, a[key] - b[key]])) as unknown as Ranking;

/** Accuracy of the mixture when 0, 10, ... 100 % of the prompts go to the strong model. */
function costQuality(ties: ReturnType<typeof rank>, prompts: LabelledPrompt[]): { strongShare: number; accuracy: number }[] {
  const order = ties.flatMap(({ members }) => members);
  return Array.from({ length: 11 }, (_, step) => {
    const strong = Math.round((step / 10) * order.length);
    const right = order.reduce((sum, index, i) => sum + (i < strong ? prompts[index]!.strongCorrect : prompts[index]!.weakCorrect), 0);
    return { strongShare: step / 10, accuracy: right / order.length };
  });
}

function printSection({ name, prompts, scores, curve }: { name: string; prompts: number } & ReturnType<typeof compare>): void {
  console.log(`\n${name}: ${prompts} prompts; 95 % intervals by resampling prompts, then whole subjects`);
  console.log(`${' '.repeat(22)}${MEASURES.map((key) => TITLES[key].padEnd(36)).join('')}`);
  const text = (value: number, [a, b]: Interval, [c, d]: Interval) =>
    `${value.toFixed(3)} [${a.toFixed(3)}, ${b.toFixed(3)}] [${c.toFixed(3)}, ${d.toFixed(3)}]`.padEnd(36);
  for (const [row, { value, byPrompt, bySubject }] of Object.entries(scores)) {
    console.log(`${row.padEnd(22)}${MEASURES.map((key) => text(value[key], byPrompt[key], bySubject[key])).join('')}`);
  }
  console.log(`${'random mixing'.padEnd(22)}${['0.500', '0.500', '0.500', '0.500', '0.800'].map((value) => value.padEnd(36)).join('')}`);
  console.log(`accuracy at 0, 10, ... 100 % strong: ${curve.map(({ accuracy }) => accuracy.toFixed(3)).join(' ')}`);
}

function printReliability(curves: Record<string, ReturnType<typeof reliability>>): void {
  for (const [name, bins] of Object.entries(curves)) {
    const total = bins.reduce((sum, { n }) => sum + n, 0);
    const error = bins.reduce((sum, { predicted, observed, n }) => sum + (n / total) * Math.abs(predicted - observed), 0);
    console.log(
      `\n${name}, predicted → observed in tenths: ${bins.map((bin) => `${bin.predicted.toFixed(2)}→${bin.observed.toFixed(2)}`).join('  ')}`,
    );
    console.log(`expected calibration error ${error.toFixed(3)}`);
  }
}
