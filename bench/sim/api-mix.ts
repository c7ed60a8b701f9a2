import type { PromptKind } from '../../models/capability/prompt-kind.ts';
import { exponential, generator, normal } from '../random.ts';
import { judge } from './quality.ts';
import type { SimRequest } from './request.ts';

/** A log-normal length in tokens: its median, and the standard deviation of its logarithm. */
type Length = [median: number, sigma: number];

interface Sort {
  share: number;
  kind: PromptKind;
  prompt: Length;
  answer: Length;
  /** What clients set; null: nothing. */
  maxTokens: number | null;
}

/**
 * What programs ask of a small model, by judgement: labels, fields, short facts and rewritten sentences, most with a limit, and some work that is longer. Seven
 * of a hundred are open questions or code. A trace of such traffic is not public.
 */
const sorts: Sort[] = [
  { share: 0.3, kind: 'classify', prompt: [80, 0.5], answer: [3, 0.5], maxTokens: 16 },
  { share: 0.22, kind: 'extract', prompt: [120, 0.5], answer: [22, 0.5], maxTokens: 64 },
  { share: 0.2, kind: 'short-answer', prompt: [30, 0.6], answer: [16, 0.6], maxTokens: 64 },
  { share: 0.14, kind: 'rewrite', prompt: [110, 0.5], answer: [50, 0.5], maxTokens: 128 },
  { share: 0.07, kind: 'open', prompt: [50, 0.7], answer: [160, 0.6], maxTokens: null },
  { share: 0.04, kind: 'code', prompt: [90, 0.7], answer: [180, 0.6], maxTokens: null },
  { share: 0.03, kind: 'maths', prompt: [60, 0.5], answer: [140, 0.6], maxTokens: null },
];

/** With tools and long contexts: the lengths of Azure's chat trace, about (Splitwise, ISCA 2024). */
const originOnly = { kind: 'open', prompt: [1_020, 0.8], answer: [130, 0.8] } as const satisfies Partial<Sort>;

const blockTokens = 16;
/** Applications, each with one sort of prompt and a key of its own, by falling share of the traffic. */
const applications = 24;
const streamedShare = 0.3;

/** Requests of the API mix with Poisson arrivals. The same seed gives the same requests. */
export function apiMix(count: number, perSecond: number, originOnlyShare: number, seed: number): SimRequest[] {
  const random = generator(seed);
  const requests: SimRequest[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const hard = random() < originOnlyShare;
    const { kind, prompt, answer, maxTokens } = hard ? { ...originOnly, maxTokens: null } : sortBy(random());
    // Of the applications of that sort, the first has half of the traffic, the second a quarter, and so on.
    const application = Math.min(applications / 4 - 1, Math.floor(exponential(random) / Math.LN2));
    const own = lengthOf(prompt, random);
    const blocks = prefixOf(kind, application);
    const asked = lengthOf(answer, random);
    requests.push({
      at,
      key: `${kind}-${application}`,
      kind,
      promptTokens: blocks.length * blockTokens + own,
      outputTokens: maxTokens === null ? asked : Math.min(asked, maxTokens),
      maxTokens,
      stream: hard || maxTokens === null || random() < streamedShare,
      originOnly: hard,
      blocks,
      blockTokens,
      judgement: judge(kind, random),
    });
    at += (1000 * exponential(random)) / perSecond;
  }
  return requests;
}

function sortBy(draw: number): Sort {
  let rest = draw;
  for (const sort of sorts) {
    if (rest < sort.share) return sort;
    rest -= sort.share;
  }
  return sorts[0]!;
}

const lengthOf = ([median, sigma]: Length, random: () => number): number =>
  Math.max(1, Math.round(median * Math.exp(sigma * normal(random))));

/** An application's system prompt: of none to five blocks, the same for all of its requests. */
function prefixOf(kind: string, application: number): number[] {
  const seed = [...kind].reduce((sum, char) => sum * 31 + char.charCodeAt(0), application) >>> 0;
  const length = Math.floor(generator(seed)() * 6);
  return Array.from({ length }, (_, i) => (seed % 1_000_000) * 8 + i);
}
