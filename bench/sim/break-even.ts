import { estimateEdge, estimateOrigin } from '../../worker/routing/estimate.ts';
import { edgeUsd, originUsd } from '../../worker/routing/money.ts';
import { edgePrices, type Place } from '../../worker/routing/prices.ts';
import { edgeTiming, originTiming } from '../../worker/routing/timing.ts';
import { gpuPrice } from './gateway.ts';
import { edgePriceOf, scenarioSchema } from './scenario.ts';

const sizes: [prompt: number, answer: number][] = [
  [32, 4],
  [32, 16],
  [128, 16],
  [128, 64],
  [256, 128],
];
const gpuPrices = [0.4, 1, 2.5];
const places = Object.keys(edgePrices) as Place[];

/**
 * Requests an hour, all alike and all free to go either way, above which a GPU that is kept for them costs less a request than the edge, even if that is more than one core
 * or GPU could serve. By `edgeUsd` and `originUsd` for a warm edge and a GPU that is scaled to zero when nobody asks.
 */
export function breakEven(place: Place, usdPerHour: number, promptTokens: number, answerTokens: number): number {
  const { edge: rates, origin } = scenarioSchema.parse({ title: '', requestsPerSecond: 1 });
  const output = { p50: answerTokens, p95: answerTokens };
  const traits = { price: edgePriceOf({ ...rates, place }), contextTokens: null, calibration: null };
  const edge = {
    ...estimateEdge({ model: 'edge', refusal: null }, traits, null, 0),
    prefill: rates.prefill,
    decode: rates.decode,
    warmth: 1,
    running: 0,
    queued: 0,
  };
  const near = edgeUsd(edge, edgeTiming(edge, promptTokens, output).busyMs).usd;
  const price = gpuPrice({ ...origin, minNodes: 0, usdPerHour });
  const pool = estimateOrigin({ model: 'origin', failure: null }, { price, contextTokens: null, regions: [], quality: 1 }, null, 0);
  const far = (perHour: number) => {
    const busy = { ...pool, warmth: 1, use: 0, committedPerSecond: 0, freePerSecond: perHour / 3600 };
    return originUsd(busy, promptTokens, answerTokens, originTiming(busy, promptTokens, output).busyMs).usd;
  };
  // What the GPU costs a request only falls with more of them: bisection.
  let [low, high] = [0.01, 1e7];
  for (let i = 0; i < 60; i++) {
    const middle = Math.sqrt(low * high);
    if (far(middle) > near) low = middle;
    else high = middle;
  }
  return high;
}

export function printBreakEven(markdown: boolean): void {
  const head = ['prompt + answer', 'GPU $/h', ...places];
  const rows = sizes.flatMap(([prompt, answer]) =>
    gpuPrices.map((usd) => [
      `${prompt} + ${answer}`,
      usd.toFixed(2),
      ...places.map((place) => shown(breakEven(place, usd, prompt, answer))),
    ]),
  );
  if (markdown) {
    const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
    console.log([line(head), line(head.map(() => '---:')), ...rows.map(line)].join('\n'));
  } else for (const row of [head, ...rows]) console.log(row.map((cell) => cell.padStart(16)).join(''));
}

const shown = (perHour: number): string => Number(perHour.toPrecision(2)).toLocaleString('en-US');
