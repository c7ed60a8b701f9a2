import type { ModelConfig } from './config.ts';
import type { SamplingDefaults } from './pack/manifest.ts';

/**
 * The Qwen3.5 small family as data: what a router, a model list or a packer may want to know without having the weights.
 *
 * Sources. Parameters and shapes: the models' `config.json`, and exact counts from them (text decoder alone; vision tower and MTP head are not counted).
 * Sampling: "best practices" of the official model cards (https://huggingface.co/Qwen/Qwen3.5-0.8B and its siblings); the 4B and 9B cards do not agree with
 * themselves on non-thinking reasoning tasks, so that mode is left out. Scores: the tables of the same cards, except `gsm8k`, which is one third-party run over
 * the full set without thinking. The 4B and 9B cards publish scores with thinking only.
 */
export const TIERS = ['edge', 'middle', 'origin'] as const;

/** Where a size belongs: in the worker itself, on a small node near it, or on a GPU origin. */
export type Tier = (typeof TIERS)[number];

export type Modality = 'text' | 'image' | 'video';

/** Percent; a missing key was not published. */
export interface Score {
  thinking?: number;
  nonThinking?: number;
}

export interface CatalogEntry {
  /** Hugging Face repository. */
  id: string;
  kind: 'instruct' | 'base';
  tier: Tier;
  /** Parameters of the text decoder. */
  parameters: number;
  /** Longest sequence, tokens. */
  contextLength: number;
  /** What the model itself takes; Nearside's edge engine serves text. */
  modalities: Modality[];
  /** Enough of the shape to recognise a checkpoint of this size. */
  shape: { hiddenSize: number; layers: number; intermediateSize: number; tiedHead: boolean };
  /** Whether the chat template thinks unless told otherwise. Null for base models, which are not for chat. */
  thinkingDefault: boolean | null;
  /** Recommended sampling per mode; empty for base models. */
  sampling: { thinking?: SamplingDefaults; nonThinking?: SamplingDefaults; thinkingCoding?: SamplingDefaults };
  /** Published scores by benchmark; empty for base models. */
  scores: Record<string, Score>;
}

const sampling = (temperature: number, topP: number, topK: number, presencePenalty: number): SamplingDefaults => ({
  temperature,
  topP,
  topK,
  minP: 0,
  presencePenalty,
  repetitionPenalty: 1,
});

const THINKING = sampling(1, 0.95, 20, 1.5);
const THINKING_CODING = sampling(0.6, 0.95, 20, 0);
const SMALL = { thinking: THINKING, thinkingCoding: THINKING_CODING, nonThinking: sampling(1, 1, 20, 2) };
const LARGE = { thinking: THINKING, thinkingCoding: THINKING_CODING, nonThinking: sampling(0.7, 0.8, 20, 1.5) };

/** A score with thinking, or without and with. */
const both = (nonThinking: number, thinking: number): Score => ({ nonThinking, thinking });
const thinking = (score: number): Score => ({ thinking: score });

type Size = Omit<CatalogEntry, 'id' | 'kind' | 'contextLength' | 'modalities'> & { name: string };

const SIZES: Size[] = [
  {
    name: 'Qwen3.5-0.8B',
    tier: 'edge',
    parameters: 752_393_024,
    shape: { hiddenSize: 1024, layers: 24, intermediateSize: 3584, tiedHead: true },
    thinkingDefault: false,
    sampling: SMALL,
    scores: {
      mmluPro: both(29.7, 42.3),
      mmluRedux: both(48.5, 59.5),
      gpqaDiamond: thinking(11.9),
      superGpqa: both(16.9, 21.3),
      ifEval: both(52.1, 44.0),
      ifBench: thinking(21.0),
      cEval: both(46.4, 50.5),
      mmmlu: both(34.1, 44.3),
      bfclV4: thinking(25.3),
      tau2: thinking(11.6),
      longBenchV2: thinking(26.1),
      mmmu: both(47.4, 49.0),
      mmmuPro: both(31.4, 31.2),
      mathVistaMini: both(58.6, 62.2),
      ocrBench: both(79.1, 74.5),
      gsm8k: { nonThinking: 52.24 },
    },
  },
  {
    name: 'Qwen3.5-2B',
    tier: 'middle',
    parameters: 1_881_825_088,
    shape: { hiddenSize: 2048, layers: 24, intermediateSize: 6144, tiedHead: true },
    thinkingDefault: false,
    sampling: SMALL,
    scores: {
      mmluPro: both(55.3, 66.5),
      mmluRedux: both(69.2, 79.6),
      gpqaDiamond: thinking(51.6),
      superGpqa: both(30.4, 37.5),
      ifEval: both(61.2, 78.6),
      ifBench: thinking(41.3),
      cEval: both(65.2, 73.2),
      mmmlu: both(56.9, 63.1),
      hmmtFeb25: thinking(22.9),
      bfclV4: thinking(43.6),
      tau2: thinking(48.8),
      longBenchV2: thinking(38.7),
      mmmu: both(64.2, 64.2),
      mmmuPro: both(47.7, 50.3),
      mathVistaMini: both(73.9, 76.7),
      ocrBench: both(85.4, 84.5),
      gsm8k: { nonThinking: 64.59 },
    },
  },
  {
    name: 'Qwen3.5-4B',
    tier: 'middle',
    parameters: 4_205_751_296,
    shape: { hiddenSize: 2560, layers: 32, intermediateSize: 9216, tiedHead: true },
    thinkingDefault: true,
    sampling: LARGE,
    scores: {
      mmluPro: thinking(79.1),
      mmluRedux: thinking(88.8),
      gpqaDiamond: thinking(76.2),
      superGpqa: thinking(52.9),
      ifEval: thinking(89.8),
      ifBench: thinking(59.2),
      cEval: thinking(85.1),
      mmmlu: thinking(76.1),
      hmmtFeb25: thinking(74.0),
      liveCodeBenchV6: thinking(55.8),
      bfclV4: thinking(50.3),
      tau2: thinking(79.9),
      longBenchV2: thinking(50.0),
      mmmu: thinking(77.6),
      mmmuPro: thinking(66.3),
      gsm8k: { nonThinking: 89.61 },
    },
  },
  {
    name: 'Qwen3.5-9B',
    tier: 'origin',
    parameters: 8_953_803_264,
    shape: { hiddenSize: 4096, layers: 32, intermediateSize: 12288, tiedHead: false },
    thinkingDefault: true,
    sampling: LARGE,
    scores: {
      mmluPro: thinking(82.5),
      mmluRedux: thinking(91.1),
      gpqaDiamond: thinking(81.7),
      superGpqa: thinking(58.2),
      ifEval: thinking(91.5),
      ifBench: thinking(64.5),
      cEval: thinking(88.2),
      mmmlu: thinking(81.2),
      hmmtFeb25: thinking(83.2),
      liveCodeBenchV6: thinking(65.6),
      bfclV4: thinking(66.1),
      tau2: thinking(79.1),
      longBenchV2: thinking(55.2),
      mmmu: thinking(78.4),
      mmmuPro: thinking(70.1),
      gsm8k: { nonThinking: 92.95 },
    },
  },
];

/** Instruct models first, each followed by its base model, smallest first. */
export const CATALOG: CatalogEntry[] = SIZES.flatMap(({ name, ...size }) => {
  const shared = { ...size, contextLength: 262_144, modalities: ['text', 'image', 'video'] satisfies Modality[] };
  return [
    { ...shared, id: `Qwen/${name}`, kind: 'instruct' },
    { ...shared, id: `Qwen/${name}-Base`, kind: 'base', thinkingDefault: null, sampling: {}, scores: {} },
  ] satisfies CatalogEntry[];
});

/** The instruct model of the catalog that has this configuration's shape, whatever it was fine-tuned to, or null. */
export function findInCatalog(config: ModelConfig): CatalogEntry | null {
  if (config.architecture !== 'qwen3_5') return null;
  const matches = ({ kind, shape }: CatalogEntry) =>
    kind === 'instruct' &&
    shape.hiddenSize === config.hiddenSize &&
    shape.layers === config.layerTypes.length &&
    shape.intermediateSize === config.intermediateSize;
  return CATALOG.find(matches) ?? null;
}
