import { readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Calibration, Figure } from '../capability/calibration.ts';
import { type GateFit, judgeGate, nameOf } from '../capability/fit/fit-gate.ts';
import { type CalibrateResult, calibrate as fitCalibration, judgeBy, type Measured } from '../capability/fit/index.ts';
import { type Labelled, type LabelRow, labelled, parseLabels } from '../capability/fit/labels.ts';
import { reliability } from '../capability/fit/metrics.ts';
import { priorCalibration } from '../capability/prior.ts';
import { ModelError } from '../model-error.ts';
import { FolderStorage } from '../pack/folder-storage.ts';
import { openPack, type Pack } from '../pack/reader.ts';
import { formatManifest } from '../pack/writer.ts';
import { answerRows } from './answer-rows.ts';
import { type Command, numberOption, positionals } from './command.ts';
import { progressReporter } from './progress.ts';

const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;
const options = {
  answer: flag,
  write: flag,
  output: text,
  judge: text,
  record: text,
  target: text,
  declines: { type: 'string', multiple: true, default: [] as string[] },
  'max-tokens': text,
} as const;

export const calibrate: Command = {
  summary: 'Measure how good an edge model answers, for the router',
  help: `npm run -s models -- calibrate PACK LABELS.jsonl [--answer] [--write] [--output FILE] [options]

Fits how likely the model's answers are to be good, from labelled prompts, one JSON object a line:
  {"messages": [...], "good": 1}                    the answer was good enough (1) or not (0)
  {"messages": [...], "expected": "Paris"}          with --answer: the model answers, and is right or not
Optional: "check" for expected ("exact", "contains" or "number"), "max_tokens", "difficulty" (weakFails of the difficulty model), "answer", "logprobs",
"margins" (of the answer's tokens; --record writes them).

  --answer         let the model answer every prompt, greedily; rows without good are labelled by expected
  --write          put the calibration into the pack's manifest
  --output FILE    write it as JSON
  --target P       share of good answers among those that the confidence gate lets pass (default 0.9)
  --declines TEXT  answers that begin so are no answers; may be given several times
  --judge FILE     try the result on other labelled prompts
  --record FILE    write the rows with answers and log-probabilities, so that they need not be answered again
  --max-tokens N   of an answer (default 64)

Prints the area under the ROC curve, the Brier score and the expected calibration error, before (what was assumed so far) and after (by cross-validation), with
95 % bootstrap intervals, and how the gate was chosen.`,

  async run(args) {
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const { PACK, LABELS } = positionals(given, 'PACK', 'LABELS');
    const target = numberOption('target', values.target, 0.9, { min: 0 });
    if (target >= 1) throw new ModelError(`--target must be below 1, and "${values.target}" is not.`);
    const maxTokens = numberOption('max-tokens', values['max-tokens'], 64, { min: 1, integer: true });
    const interrupted = new AbortController();
    const stop = () => interrupted.abort(new ModelError('Interrupted; the pack is as it was.'));
    process.once('SIGINT', stop);
    try {
      const pack = await openPack(new FolderStorage(PACK));
      const read = async (file: string): Promise<LabelRow[]> => {
        const rows = parseLabels(await readText(file), basename(file));
        if (!values.answer) return rows;
        process.stderr.write(`${pack.manifest.name} answers ${rows.length} prompts of ${basename(file)}.\n`);
        return answerRows(pack, rows, { maxTokens, onProgress: progressReporter('Answering', 'prompts'), signal: interrupted.signal });
      };
      const rows = await read(LABELS);
      if (values.record !== undefined) await writeFile(values.record, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      const { name, config } = pack.manifest;
      const before = pack.manifest.calibration ?? priorCalibration(name, config);
      const settings = { model: name, labels: basename(LABELS), before, target, declines: values.declines };
      const result = fitCalibration(rows.map(labelled), settings);
      report(result, before.calibrated);
      if (values.judge !== undefined) reportJudged((await read(values.judge)).map(labelled), result.calibration, values.judge);
      interrupted.signal.throwIfAborted();
      await save(result.calibration, pack, PACK, values);
    } finally {
      process.off('SIGINT', stop);
    }
  },
};

const readText = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((cause) => {
    throw new ModelError(`The labels ${file} cannot be read.`, { cause });
  });

async function save(calibration: Calibration, { manifest }: Pack, folder: string, { output, write }: { output?: string; write: boolean }) {
  if (output !== undefined) await writeFile(output, `${JSON.stringify(calibration, null, 1)}\n`);
  if (write) {
    const path = join(folder, 'manifest.json');
    await writeFile(`${path}.new`, formatManifest({ ...manifest, calibration }), { flush: true });
    await rename(`${path}.new`, path);
  }
  if (write || output !== undefined) console.log(`Written to ${[write && folder, output].filter(Boolean).join(' and ')}.`);
  else console.log('Nothing was written: give --write or --output FILE.');
}

const figure = ({ value, low, high }: Figure): string => `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function report({ calibration, before, after, gate }: CalibrateResult, wasCalibrated: boolean): void {
  const { rows, good } = calibration.evidence!;
  console.log(`${rows} labels, ${percent(good / rows)} good\n`);
  console.log(`${''.padEnd(8)}${`before (${wasCalibrated ? "the pack's calibration" : 'prior'})`.padEnd(36)}after (cross-validated)`);
  for (const [label, key] of [
    ['AUC', 'auc'],
    ['Brier', 'brier'],
    ['ECE', 'ece'],
  ] as const)
    console.log(`${label.padEnd(8)}${figure(before[key]).padEnd(36)}${figure(after[key])}`);
  console.log(`\n${tenths(after)}`);
  if (after.auc.low <= 0.5)
    console.log(
      'Warning: what can be seen of these prompts does not tell good answers from bad ones; every prompt will get about the same probability.',
    );
  if (gate) reportGate(gate, calibration);
  else console.log('\nNo gate: there are no log-probabilities; --answer records them.');
}

function reportGate(gate: GateFit, calibration: Calibration): void {
  console.log(
    `\nGate: ${gate.answers} answers, ${percent(gate.good / gate.answers)} good; ${gate.declined} decline. What tells good from bad best (AUC):`,
  );
  for (const { name, auc } of gate.ranking.filter(({ name }, i) => i < 5 || name.startsWith('mean')))
    console.log(`  ${auc.toFixed(3)}  ${name}`);
  if (calibration.gate) {
    const { threshold, accepted, precision } = calibration.gate;
    console.log(
      `Chosen: ${nameOf(calibration.gate)}, at least ${threshold}: ${percent(accepted)} of answers pass, ${percent(precision)} of them good (other folds).`,
    );
  } else console.log('No threshold lets enough good answers pass for the target; there is no gate. Try a lower --target.');
}

function reportJudged(rows: Labelled[], calibration: Calibration, file: string): void {
  const judged = judgeBy(rows, calibration);
  console.log(
    `\nOn ${basename(file)} (${rows.length} rows): AUC ${figure(judged.auc)}, Brier ${figure(judged.brier)}, ECE ${figure(judged.ece)}`,
  );
  console.log(tenths(judged));
  const gate = calibration.gate && judgeGate(rows, calibration.gate);
  if (gate) console.log(`The gate lets ${percent(gate.accepted)} of answers pass, ${percent(gate.precision)} of them good.`);
}

const tenths = ({ forecasts }: Measured): string =>
  `Predicted -> good, by tenths: ${reliability(forecasts)
    .map(({ predicted, observed }) => `${predicted.toFixed(2)}->${observed.toFixed(2)}`)
    .join(' ')}`;
