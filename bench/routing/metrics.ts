import { generator } from '../random.ts';
import type { LabelledPrompt } from './dataset.ts';

/** How well a score ranks prompts for routing to the strong model. Names as in RouteLLM (Ong et al. 2024, arXiv 2406.18665). */
export interface Ranking {
  /** Area under the ROC curve for "the weak model fails and the strong one does not". */
  aucHelps: number;
  /** The same for "the weak model fails". */
  aucFails: number;
  /** Mean share of the gap between the models that is recovered, over all shares of strong calls; random mixing has 0.5. */
  apgr: number;
  /** Least share of strong calls that recovers 50 % and 80 % of the gap; random mixing needs as much. */
  cpt50: number;
  cpt80: number;
}

interface Tie {
  members: number[];
}

/** Prompts by descending score; those with equal scores are one tie, through which every curve runs straight. */
export function rank(scores: ArrayLike<number>): Tie[] {
  const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const ties: Tie[] = [];
  order.forEach((index, i) => {
    if (i > 0 && scores[index] === scores[order[i - 1]!]) ties.at(-1)!.members.push(index);
    else ties.push({ members: [index] });
  });
  return ties;
}

/** @param counts how often each prompt is in the sample */
export function measure(ties: Tie[], prompts: LabelledPrompt[], counts: ArrayLike<number>): Ranking {
  const helps = new RocArea();
  const fails = new RocArea();
  let total = 0;
  let gap = 0;
  const groups = ties.map(({ members }) => {
    const group = { size: 0, gain: 0, helps: 0, fails: 0 };
    for (const index of members) {
      const { weakCorrect, strongCorrect } = prompts[index]!;
      const count = counts[index]!;
      group.size += count;
      group.gain += count * (strongCorrect - weakCorrect);
      group.fails += count * (1 - weakCorrect);
      group.helps += count * (1 - weakCorrect) * strongCorrect;
    }
    total += group.size;
    gap += group.gain;
    helps.add(group.helps, group.size - group.helps);
    fails.add(group.fails, group.size - group.fails);
    return group;
  });
  let [share, recovered, apgr] = [0, 0, 0];
  const reached = { 0.5: 1, 0.8: 1 };
  const levels = [0.5, 0.8] as const;
  const open = new Set(levels);
  for (const { size, gain } of groups) {
    if (size === 0) continue;
    const [width, rise] = [size / total, gain / gap];
    for (const level of open) {
      if (recovered + rise < level) continue;
      reached[level] = share + (width * (level - recovered)) / rise;
      open.delete(level);
    }
    apgr += width * (recovered + rise / 2);
    share += width;
    recovered += rise;
  }
  return { aucHelps: helps.value(), aucFails: fails.value(), apgr, cpt50: reached[0.5], cpt80: reached[0.8] };
}

/** Mann-Whitney: the chance that a positive outranks a negative, ties counting half. Groups are added from the highest score down. */
class RocArea {
  #positives = 0;
  #negatives = 0;
  #pairs = 0;

  add(positives: number, negatives: number): void {
    this.#pairs += negatives * (this.#positives + positives / 2);
    this.#positives += positives;
    this.#negatives += negatives;
  }

  value(): number {
    return this.#pairs / (this.#positives * this.#negatives);
  }
}

/** Draws samples with replacement: of prompts, or of whole subjects, which is how far a result carries to subjects not in the data. */
export function* resample(prompts: LabelledPrompt[], unit: 'prompt' | 'subject', samples: number, seed = 1): Generator<Int32Array> {
  const random = generator(seed);
  const groups = new Map<string | number, number[]>();
  prompts.forEach(({ task }, index) => {
    const key = unit === 'prompt' ? index : task;
    groups.set(key, [...(groups.get(key) ?? []), index]);
  });
  const members = [...groups.values()];
  for (let sample = 0; sample < samples; sample++) {
    const counts = new Int32Array(prompts.length);
    for (let i = 0; i < members.length; i++) for (const index of members[Math.floor(random() * members.length)]!) counts[index]!++;
    yield counts;
  }
}

/** Predicted against observed in `bins` equally filled bins, lowest first. */
export function reliability(predicted: number[], happened: number[], bins: number): { predicted: number; observed: number; n: number }[] {
  const order = predicted.map((_, i) => i).sort((a, b) => predicted[a]! - predicted[b]!);
  return Array.from({ length: bins }, (_, bin) => {
    const members = order.slice(Math.floor((bin * order.length) / bins), Math.floor(((bin + 1) * order.length) / bins));
    const mean = (values: number[]) => members.reduce((sum, index) => sum + values[index]!, 0) / members.length;
    return { predicted: mean(predicted), observed: mean(happened), n: members.length };
  });
}
