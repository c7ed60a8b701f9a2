import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { startDevServer } from '../../test/support/dev-server.ts';
import { LLAMA_SERVER_MODEL, startLlamaServer } from '../../test/support/llama-server.ts';
import { smollm2Gguf } from '../../test/support/smollm2.ts';
import { decide } from '../../worker/routing/decide.ts';
import { policyOf } from '../../worker/routing/policies.ts';
import { machine, median } from '../machine.ts';
import { exitOnSignals, fetched } from '../options.ts';
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
  words: number;
  maxTokens: number;
}

/** A load on one route: what was asked, what its client saw, and the route's rates around that time. */
interface Trial {
  route: 'edge' | 'origin';
  plan: Planned[];
  seen: Seen[];
  rates: Rates;
}

interface Compared {
  what: string;
  measuredMs: number;
  predictedMs: number;
  off: number;
}

/**
 * The simulator against the gateway as it runs: `npm run dev` with the edge engine, and llama-server as the origin. Of each route, measures the rates, puts a small load on it,
 * and compares the medians with those of a simulation of the same requests with these rates. One route after the other: under wrangler the gateway shares the engine's
 * thread, so that whatever passes through it waits while the engine computes, and the simulator's edge has a machine of its own.
 * Sets a failing exit code where they differ by more than a quarter.
 */
export async function validate({ pack, requests, json }: { pack: string | null; requests: number; json: string | null }): Promise<void> {
  exitOnSignals();
  const [loadBefore] = loadavg();
  const llama = await onCore(1, () => startLlamaServer(fetched(smollm2Gguf), { slots: 4, context: 1024 }));
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
    const edge = await tryOut('edge', near, Math.ceil(requests / 2));
    const origin = await tryOut('origin', far, Math.floor(requests / 2));
    const scenario = scenarioOf(edge.rates, origin.rates);
    report([...(await compareWith(edge, scenario)), ...(await compareWith(origin, scenario))], edge, origin, loadBefore!, json);
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

async function tryOut(route: Trial['route'], target: Target, count: number): Promise<Trial> {
  const before = await measureRates(target);
  const plan = planOf(count, before);
  const seen = await load(plan, target);
  // Whatever else the machine does changes meanwhile: the rates are those of before and after.
  return { route, plan, seen, rates: between(before, await measureRates(target)) };
}

function between(a: Rates, b: Rates): Rates {
  const mean = (name: keyof Rates) => Math.sqrt(a[name] * b[name]);
  return { baseMs: mean('baseMs'), promptTokenMs: mean('promptTokenMs'), aloneMs: mean('aloneMs'), fourMs: mean('fourMs') };
}

/** Prompts and answers of several lengths. */
function planOf(count: number, { baseMs, promptTokenMs, aloneMs }: Rates): Planned[] {
  const random = generator(4);
  const typicalMs = baseMs + 75 * promptTokenMs + 12 * aloneMs;
  let at = 0;
  return Array.from({ length: count }, () => {
    at += (typicalMs / intensity) * exponential(random);
    return { at, words: 5 + Math.floor(60 * random()), maxTokens: 4 + Math.floor(17 * random()) };
  });
}

async function load(plan: Planned[], target: Target): Promise<Seen[]> {
  const started = performance.now();
  return Promise.all(
    plan.map(async ({ at, words, maxTokens }) => {
      await new Promise((resolve) => setTimeout(resolve, at - (performance.now() - started)));
      return ask(target, words, maxTokens);
    }),
  );
}

async function compareWith({ route, plan, seen }: Trial, scenario: Scenario): Promise<Compared[]> {
  const random = generator(5);
  const requests: SimRequest[] = plan.map(({ at, maxTokens }, i) => ({
    at,
    key: 'validation',
    kind: 'open',
    promptTokens: seen[i]!.promptTokens,
    outputTokens: Math.max(1, seen[i]!.completionTokens),
    maxTokens,
    stream: true,
    originOnly: route === 'origin',
    blocks: [],
    blockTokens: 16,
    judgement: judge('open', random),
  }));
  const asPlanned: Router = {
    name: 'as planned',
    decide: (features, estimates, limits) => decide(features, estimates, policyOf(`${route}-only`, limits)),
  };
  const { courses } = await simulate(scenario, requests, asPlanned);
  return (['ttftMs', 'totalMs'] as const).map((figure) => {
    const [measuredMs, predictedMs] = [median(seen.map((one) => one[figure])), median(courses.map((one) => one[figure]))];
    return {
      what: `${route}, ${figure === 'ttftMs' ? 'time to first token' : 'whole time'}`,
      measuredMs,
      predictedMs,
      off: predictedMs / measuredMs - 1,
    };
  });
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

/**
 * Whether each prediction is near enough to what was measured, and a sentence that says so.
 * @param most by which it may be off, as a part of what was measured
 */
export function within(compared: Pick<Compared, 'what' | 'off'>[], most: number): { passed: boolean; text: string } {
  const percent = (part: number) => `${(100 * part).toFixed(0)} %`;
  const farOff = compared.filter(({ off }) => !(Math.abs(off) <= most));
  const worst = compared.reduce((a, b) => (Math.abs(b.off) > Math.abs(a.off) ? b : a));
  if (farOff.length === 0)
    return {
      passed: true,
      text: `PASSED: all ${compared.length} medians are predicted within ${percent(most)}; the worst is ${percent(worst.off)} off (${worst.what}).`,
    };
  const named = farOff.map(({ what, off }) => `${what} (${percent(off)})`).join(', ');
  return { passed: false, text: `FAILED: ${farOff.length} of ${compared.length} medians are off by more than ${percent(most)}: ${named}.` };
}

function report(compared: Compared[], edge: Trial, origin: Trial, load: number, json: string | null): void {
  const requests = edge.seen.length + origin.seen.length;
  const on = machine();
  console.log(
    `${on.cpu}, ${on.cores} cores; load before ${load.toFixed(1)}${load > on.cores / 2 ? ' (busy: the figures are not worth much)' : ''}; ${on.date}; ${requests} requests`,
  );
  for (const [name, rates] of Object.entries({ edge: edge.rates, origin: origin.rates })) {
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
  const { passed, text } = within(compared, tolerance);
  console.log(text);
  if (!passed) process.exitCode = 1;
  if (json) writeFileSync(json, `${JSON.stringify({ machine: on, load, requests, edge, origin, compared }, null, 2)}\n`);
}
