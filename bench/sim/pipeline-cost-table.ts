import { FolderStorage } from '../../models/pack/folder-storage.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import { openPack } from '../../models/pack/reader.ts';
import { PLAN_DEFAULTS, planStages } from '../../wasm/engine/pipeline/plan.ts';
import { pricesAsOf } from '../../worker/routing/prices.ts';
import { type CostRates, costOfThousand, type PlacedModel, type Traffic } from './pipeline-cost.ts';

export interface PipelineCostOptions {
  /** Folder of the pack. */
  pack: string;
  promptTokens: number;
  answerTokens: number;
  prefill: number;
  /** Tokens per second of 1, 4 and 16 answers, together. */
  decode: [number, number, number];
  hopMs: number;
  loadMs: number;
  markdown: boolean;
}

const DECODED = [1, 4, 16] as const;
const SELDOM = { sessions: 4, decode: 0 };

/** Prints what 1,000 tokens of answers cost with 1, 4 and 16 requests at once, and with such as come alone. Throws for a pack that cannot be cut. */
export async function printPipelineCost(options: PipelineCostOptions): Promise<void> {
  const { manifest } = await openPack(new FolderStorage(options.pack));
  const { promptTokens, answerTokens, prefill, decode, hopMs, loadMs } = options;
  const rates = (index: number): CostRates => ({ prefill, alone: decode[0], together: decode[index]!, hopMs, loadMs });
  const cases: { what: string; sessions: number; decode: number; traffic: Traffic }[] = [
    ...[...DECODED.keys()].reverse().map((i) => ({
      what: `always ${DECODED[i]} at once`,
      sessions: DECODED[i]!,
      decode: i,
      traffic: { kind: 'steady', atOnce: DECODED[i]! } as const,
    })),
    { what: 'one a minute', ...SELDOM, traffic: { kind: 'seldom', everySeconds: 60, cold: false } },
    { what: 'one an hour', ...SELDOM, traffic: { kind: 'seldom', everySeconds: 3600, cold: true } },
  ];
  const head = [
    'requests',
    'objects',
    'seconds',
    'GB-s',
    'DO requests',
    'R2 reads',
    'pipeline',
    'Workers CPU',
    'container',
    'GPU alone',
    'GPU shared',
  ];
  const rows = cases.map(({ what, sessions, decode, traffic }) => {
    const model = placedFor(manifest, sessions);
    const cost = costOfThousand({ promptTokens, answerTokens }, model, rates(decode), traffic);
    const used = [cost.seconds, cost.gbSeconds, cost.requests, cost.reads].map(shown);
    const dollars = [cost.pipeline, cost.worker, cost.container, cost.gpuAlone, cost.gpuShared].map((usd) => shown(usd * 100));
    return [what, String(model.objects), ...used, ...dollars];
  });
  console.log(
    `Cents for 1,000 tokens of answers with their prompts, ${manifest.name}, requests of ${promptTokens} + ${answerTokens} tokens. Rates: prompts ${prefill} tokens/s, answers ${DECODED.map((n, i) => `${n} at once ${decode[i]}`).join(', ')}; a hop ${hopMs} ms, loading ${loadMs} ms. Prices of ${pricesAsOf}.\n`,
  );
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const divider = line(head.map((_, i) => (i === 0 ? '---' : '---:')));
  if (options.markdown) console.log([line(head), divider, ...rows.map(line)].join('\n'));
  else for (const row of [head, ...rows]) console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(18) : cell.padStart(12))).join(''));
}

/** The plan that `models -- plan` makes for so many sessions, and the engine's own object. Each object reads the manifest, and the engine the tokenizer. */
export function placedFor(manifest: Manifest, sessions: number): PlacedModel {
  const { stages } = planStages(manifest, { ...PLAN_DEFAULTS, sessions });
  const layers = stages.filter(({ spec }) => spec.layers.last > spec.layers.first).length;
  const objects = stages.length === 1 ? 1 : stages.length + 1;
  return { objects, hops: stages.length === 1 ? 0 : layers + 1, reads: manifest.files.length + objects + 1 };
}

/** Two digits that count, or all of those before the point. */
const shown = (value: number): string => (value >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2))));
