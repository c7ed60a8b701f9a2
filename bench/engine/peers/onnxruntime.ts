/** Child process: the model's matrix products by onnxruntime-web in workerd, the only part of the model that is measured of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FolderStorage } from '../../../models/pack/folder-storage.ts';
import { openPack } from '../../../models/pack/reader.ts';
import { median } from '../../machine.ts';
import { ORT } from '../ratios.ts';
import { Report } from '../report.ts';
import { serve } from '../serve.ts';
import { bundleWorker, ROOT, startWorker } from '../workerd.ts';

interface Arguments {
  pack: string;
  model: string;
  reps: number;
}

/** A larger matrix is measured by its first rows: the runtime may hold it as floats. */
const MAX_ROWS = 16384;
const PROMPT = 64;

const { pack: folder, model, reps } = JSON.parse(process.argv[2]!) as Arguments;
const report = new Report(ORT, model, 1);
const { manifest } = await openPack(new FolderStorage(folder));
const installed = readFileSync(join(ROOT, 'node_modules/onnxruntime-web/package.json'), 'utf8');
report.fact('version', (JSON.parse(installed) as { version: string }).version);
report.fact('build', "the npm package's ort-wasm-simd-threaded.wasm");

/** How often each shape of a quantized matrix occurs, the head apart: a prompt needs it once. */
const shapes = new Map<string, { rows: number; columns: number; count: number; head: boolean }>();
const head = manifest.config.tiedHead ? 'embed' : 'head';
for (const [name, { shape, type }] of Object.entries(manifest.tensors)) {
  if (type === 'f32' || (name === 'embed' && head !== 'embed')) continue;
  const [rows, columns] = shape as [number, number];
  const key = `${rows} x ${columns}`;
  const known = shapes.get(key);
  if (known) known.count += 1;
  else shapes.set(key, { rows, columns, count: 1, head: name === head });
}

const worker = await startWorker(bundleWorker('bench/engine/onnx-worker/wrangler.toml'));

async function suite(): Promise<void> {
  const results: { level: number; decode: number[]; prefill: number[] }[] = [];
  for (const accuracyLevel of [0, 4]) {
    const decode = new Array<number>(reps).fill(0);
    const prefill = new Array<number>(reps).fill(0);
    for (const { rows, columns, count, head: isHead } of shapes.values()) {
      const measured = Math.min(rows, MAX_ROWS);
      const product = { rows: measured, columns, accuracyLevel };
      const add = async (sums: number[], tokens: number) => {
        const times = await worker.ask<number[]>('/', { product, tokens, samples: reps });
        for (const [i, ms] of times.entries()) sums[i]! += (ms * count * rows) / measured;
      };
      await add(decode, 1);
      if (!isHead) await add(prefill, PROMPT);
    }
    const speeds = (sums: number[], tokens: number) => sums.map((ms) => (1000 * tokens) / ms);
    results.push({ level: accuracyLevel, decode: speeds(decode, 1), prefill: speeds(prefill, PROMPT) });
  }
  // The setting that decodes faster.
  const [best] = results.sort((a, b) => median(b.decode) - median(a.decode));
  report.fact('accuracy_level', best!.level);
  report.measured('decode', 64, best!.decode);
  report.measured('prefill', 64, best!.prefill);
}

serve({ suite, stop: () => worker.stop() });
