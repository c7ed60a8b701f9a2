import type { Gate } from '../../models/capability/gate.ts';
import { priorCalibration } from '../../models/capability/prior.ts';
import { logit } from '../../models/capability/score.ts';
import type { ModelConfig } from '../../models/config.ts';
import type { Calibration } from '../../worker/routing/types.ts';
import { normal } from '../random.ts';
import type { Judgement } from './request.ts';

/**
 * The model of quality, an assumption from end to end. A request has a difficulty z, standard normal. Each model's answer is good enough with the probability
 * sigmoid(m + s·z), where m is such that the mean over all z is the catalog's prior for that model and kind of prompt (models/capability/prior.ts: 0.8B and 9B), and
 * s = 1.5. The router is told E[P(edge) | signal], where the signal correlates with z by 0.5: calibrated, and far from knowing. The AUC that this gives for "the edge's
 * answer is good" lies near 0.7 within a kind; `npm run bench -- routing` measures 0.6 to 0.7 for the learned model on subjects it never saw.
 */
const spread = 1.5;
const correlation = 0.5;

/** What the gate sees is higher by so many standard deviations where the answer is good: an AUC of 0.76, in the middle of what is published for log-probabilities. */
const gateSeparation = 1;

/** Log odds by kind of prompt. Of a model's configuration the prior reads its width only, where the catalog does not know it. */
const priorOf = (hiddenSize: number): Record<string, number> => {
  const config = { architecture: 'qwen3_5', hiddenSize, layerTypes: [], intermediateSize: 0 } as unknown as ModelConfig;
  const { weights } = priorCalibration('', config);
  return Object.fromEntries(
    Object.entries(weights).flatMap(([name, weight]) => (name.startsWith('kind:') ? [[name.slice(5), weight]] : [])),
  );
};
const edgePrior = priorOf(1024);
const originPrior = priorOf(4096);

/** Mean quality of the origin's answers to all kinds alike: what a deployment would put down for its pool. */
export const configuredOriginQuality =
  Object.values(originPrior).reduce((sum, weight) => sum + sigmoid(weight), 0) / Object.values(originPrior).length;

/** What nobody knows of a request of that kind, drawn. */
export function judge(kind: string, random: () => number): Judgement {
  const [z, noise] = [normal(random), normal(random)];
  const signal = correlation * z + Math.sqrt(1 - correlation ** 2) * noise;
  const edge = sigmoid(locationOf(edgePrior[kind]!) + spread * z);
  const origin = sigmoid(locationOf(originPrior[kind]!) + spread * z);
  const estimate = meanSigmoid(locationOf(edgePrior[kind]!) + spread * correlation * signal, spread * Math.sqrt(1 - correlation ** 2));
  const good = random() < edge;
  return { edge, origin, estimate, sign: normal(random) + (good ? gateSeparation : 0) };
}

/** m, such that the mean of sigmoid(m + spread·z) has the given log odds. Found once per kind by bisection. */
function locationOf(weight: number): number {
  const known = locations.get(weight);
  if (known !== undefined) return known;
  let [low, high] = [-12, 12];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (meanSigmoid(middle, spread) < sigmoid(weight)) low = middle;
    else high = middle;
  }
  locations.set(weight, low);
  return low;
}
const locations = new Map<number, number>();

/** Mean of sigmoid(m + s·e) over a standard normal e, by the trapezoidal rule, which converges fast for it. */
function meanSigmoid(m: number, s: number): number {
  let [sum, weights] = [0, 0];
  for (let e = -4; e <= 4; e += 0.5) {
    const weight = Math.exp(-e * e * 0.5);
    sum += weight * sigmoid(m + s * e);
    weights += weight;
  }
  return sum / weights;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

const gateTokens = 8;
/** About one good answer in eight and two bad ones in five fall below. */
const gateThreshold = -0.2;

/** The gate of the simulated edge model: `sign` stands for the least log-probability of the first tokens, shifted so that it is negative. */
const simulatedGate: Gate = { tokens: gateTokens, statistic: 'quantile', quantile: 0, threshold: gateThreshold, declines: [] };

/** The calibration of the simulated edge model: the score is what the difficulty model says, unchanged. */
export function simulatedCalibration(gate: boolean): Calibration {
  // The signal is logit(0.3) - logit(weakFails): with this intercept the score is 1 - weakFails.
  const weights = { difficulty: 1, intercept: -logit(0.3) };
  return { version: 1, model: 'edge', calibrated: true, weights, curve: [], gate: gate ? simulatedGate : null };
}

/** Probability that an answer of the edge is good, by Bayes, when it passed the gate. */
export function qualityAfterGate({ edge }: Judgement): number {
  const passes = (mean: number) => 1 - normalBelow(gateThreshold - mean);
  const good = edge * passes(gateSeparation);
  return good / (good + (1 - edge) * passes(0));
}

/** The same for an answer that would pass, and the edge's own for one that would not: the best that can be had from the edge. */
export function bestQualityOfEdge(judgement: Judgement): number {
  return judgement.sign >= gateThreshold ? qualityAfterGate(judgement) : judgement.edge;
}

/** The standard normal distribution's part below x, by a logistic approximation with an error below 0.001 (Tocher; Page 1977). */
function normalBelow(x: number): number {
  return 1 / (1 + Math.exp(-1.5976 * x - 0.07056 * x ** 3));
}
