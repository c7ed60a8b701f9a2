import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { startDevServer } from '../../test/support/dev-server.ts';
import { LLAMA_SERVER_MODEL, startLlamaServer } from '../../test/support/llama-server.ts';
import { smollm2Gguf } from '../../test/support/smollm2.ts';
import { decide } from '../../worker/routing/decide.ts';
import { policyOf } from '../../worker/routing/policies.ts';
import { machine, median } from '../machine.ts';
import { everyCore, pinTo } from '../pin.ts';
import { exponential, generator } from '../random.ts';
import { ask, measureRates, type Rates, type Seen, type Target } from './measure.ts';
import { judge } from './quality.ts';
import type { SimRequest } from './request.ts';
import type { Router } from './routers.ts';
import { type Scenario, scenarioSchema } from './scenario.ts';
import { simulate } from './simulate.ts';

const edgeName = 'edge-model';
/** Requests of the load that come while one is answered, on average: some meet, none pile up. */
const intensity = 0.3;
const tolerance = 0.25;

interface Planned {
  at: number;
  model: string;
  words: number;
  maxTokens: number;
}

interface Compared {
  what: string;
  measuredMs: number;
  predictedMs: number;
  off: number;
}

/**
 * The simulator against the gateway as it runs: `npm run dev` with the edge engine, and llama-server as the origin. Measures the rates of both alone, puts a small
 * load on both (which route a request takes is drawn beforehand), and compares the medians with those of a simulation of the same requests with these rates.
 * Sets a failing exit code where they differ by more than a quarter.
 */
export async function validate({ pack, requests, json }: { pack: string | null; requests: number; json: string | null }): Promise<void> {
  const [loadBefore] = loadavg();
  const llama = await onCore(1, () => startLlamaServer(smollm2Gguf(), { slots: 4, context: 1024 }));
  const variables = [
    `NEARSIDE_ORIGIN_URL:${llama.url}/v1`,
    `NEARSIDE_ORIGIN_MODEL:${LLAMA_SERVER_MODEL}`,
    `NEARSIDE_EDGE_MODEL:${edgeName}`,
    'NEARSIDE_EDGE_PREFIX_CACHE:off',
    'NEARSIDE_ORIGIN_KIND:llama-server',
  ];
  const server = await onCore(0, () =>
    startDevServer([...(pack === null ? [] : ['--model', pack]), ...variables.flatMap((text) => ['--var', text])]),
  );
  try {
    const near: Target = { url: server.url, model: edgeName, settings: {} };
    const far: Target = { url: server.url, model: LLAMA_SERVER_MODEL, settings: { cache_prompt: false } };
    const measure = async () => [await measureRates(near), await measureRates(far)] as const;
    const before = await measure();
    const plan = planOf(requests, ...before);
    const seen = await load(plan, near, far);
    // Whatever else the machine does changes meanwhile: the rates are those of before and after.
    const after = await measure();
    const [edge, origin] = [between(before[0], after[0]), between(before[1], after[1])];
    const compared = await compareWith(plan, seen, edge, origin);
    report(compared, edge, origin, seen.length, loadBefore!, json);
  } finally {
    await server.stop();
    await llama.kill();
  }
}

/** What `start` starts, on a core of its own as far as the system lets us: the simulator's edge and origin are machines of their own. */
async function onCore<T>(core: number, start: () => Promise<T>): Promise<T> {
  pinTo(`${core}`);
  return start().finally(() => pinTo(everyCore));
}

function between(a: Rates, b: Rates): Rates {
  const mean = (name: keyof Rates) => Math.sqrt(a[name] * b[name]);
  return { baseMs: mean('baseMs'), promptTokenMs: mean('promptTokenMs'), aloneMs: mean('aloneMs'), fourMs: mean('fourMs') };
}

/** Half for each route, by lot; prompts and answers of several lengths. */
function planOf(count: number, edge: Rates, origin: Rates): Planned[] {
  const random = generator(4);
  const typicalMs = (rates: Rates) => rates.baseMs + 50 * rates.promptTokenMs + 12 * rates.aloneMs;
  const gapMs = Math.max(typicalMs(edge), typicalMs(origin)) / (2 * intensity);
  let at = 0;
  return Array.from({ length: count }, () => {
    at += gapMs * exponential(random);
    return {
      at,
      model: random() < 0.5 ? edgeName : LLAMA_SERVER_MODEL,
      words: 5 + Math.floor(60 * random()),
      maxTokens: 4 + Math.floor(17 * random()),
    };
  });
}

async function load(plan: Planned[], near: Target, far: Target): Promise<Seen[]> {
  const started = performance.now();
  return Promise.all(
    plan.map(async ({ at, model, words, maxTokens }) => {
      await new Promise((resolve) => setTimeout(resolve, at - (performance.now() - started)));
      return ask(model === near.model ? near : far, words, maxTokens);
    }),
  );
}

async function compareWith(plan: Planned[], seen: Seen[], edge: Rates, origin: Rates): Promise<Compared[]> {
  const random = generator(5);
  const requests: SimRequest[] = plan.map(({ at, model, maxTokens }, i) => ({
    at,
    key: 'validation',
    kind: 'open',
    promptTokens: seen[i]!.promptTokens,
    outputTokens: Math.max(1, seen[i]!.completionTokens),
    maxTokens,
    stream: true,
    originOnly: model !== edgeName,
    blocks: [],
    blockTokens: 16,
    judgement: judge('open', random),
  }));
  const asPlanned: Router = {
    name: 'as planned',
    decide: (features, estimates, limits) =>
      decide(features, estimates, policyOf(features.obstacles.length > 0 ? 'origin-only' : 'edge-only', limits)),
  };
  // The engine is warm: it has just been measured.
  const { courses } = await simulate(scenarioOf(edge, origin), requests, asPlanned);
  const compared: Compared[] = [];
  for (const model of [edgeName, LLAMA_SERVER_MODEL]) {
    const ours = courses.filter(({ request }) => request.originOnly === (model !== edgeName));
    const real = seen.filter((_, i) => plan[i]!.model === model);
    for (const figure of ['ttftMs', 'totalMs'] as const) {
      const [measuredMs, predictedMs] = [median(real.map((one) => one[figure])), median(ours.map((one) => one[figure]))];
      const what = `${model === edgeName ? 'edge' : 'origin'}, ${figure === 'ttftMs' ? 'time to first token' : 'whole time'}`;
      compared.push({ what, measuredMs, predictedMs, off: predictedMs / measuredMs - 1 });
    }
  }
  return compared;
}

/** The simulator's scenario with the measured rates. */
function scenarioOf(edge: Rates, origin: Rates): Scenario {
  const settings = {
    title: 'validation',
    requestsPerSecond: 1,
    isolates: 1,
    edge: {
      prefill: 1000 / edge.promptTokenMs,
      decode: 1000 / edge.aloneMs,
      batchOf4: Math.min(4, Math.max(1, (4 * edge.aloneMs) / edge.fourMs)),
      loadMs: 0.001,
      evictSeconds: 1e6,
      roundTripMs: edge.baseMs,
      gate: false,
    },
    origin: {
      // The first token takes an iteration in the simulation: the rest of the base is the way.
      roundTripMs: Math.max(0.1, origin.baseMs - origin.aloneMs),
      prefill: 1000 / origin.promptTokenMs,
      tpotMs: origin.aloneMs,
      tpotMsPerSequence: Math.max(0, (origin.fourMs - origin.aloneMs) / 3),
      slots: 4,
    },
  };
  return { name: 'validation', ...scenarioSchema.parse(settings) };
}

function report(compared: Compared[], edge: Rates, origin: Rates, requests: number, load: number, json: string | null): void {
  const on = machine();
  console.log(
    `${on.cpu}, ${on.cores} cores; load before ${load.toFixed(1)}${load > on.cores / 2 ? ' (busy: the figures are not worth much)' : ''}; ${on.date}; ${requests} requests`,
  );
  for (const [name, rates] of Object.entries({ edge, origin })) {
    const { baseMs, promptTokenMs, aloneMs, fourMs } = rates;
    console.log(
      `${name}: first token ${baseMs.toFixed(0)} ms + ${promptTokenMs.toFixed(2)} a token of prompt; ${aloneMs.toFixed(1)} ms a token, ${fourMs.toFixed(1)} with four at once`,
    );
  }
  for (const { what, measuredMs, predictedMs, off } of compared) {
    const mark = Math.abs(off) > tolerance ? `  more than ${100 * tolerance} % off` : '';
    console.log(
      `${what.padEnd(30)} measured ${measuredMs.toFixed(0).padStart(7)} ms, predicted ${predictedMs.toFixed(0).padStart(7)} ms, ${(100 * off).toFixed(0)} %${mark}`,
    );
  }
  if (compared.some(({ off }) => Math.abs(off) > tolerance)) process.exitCode = 1;
  if (json) writeFileSync(json, `${JSON.stringify({ machine: on, load, requests, rates: { edge, origin }, compared }, null, 2)}\n`);
}
