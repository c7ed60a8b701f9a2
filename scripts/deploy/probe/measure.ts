/** What the probe Worker answers, by test. */
interface Answers {
  isolates: { a: Where[]; b: Where[] };
  hops: number[];
  compute: { multiplications: number; ms: number };
  hold: number;
  release: null;
  r2: { first: Read; alone: Read; four: Read } | null;
}
interface Where {
  isolate: string;
  colo: string;
}
interface Read {
  bytes: number;
  ms: number;
}

/** Asks the probe Worker. Throws an Error with what it says. */
export type Ask = <T extends keyof Answers>(test: T, query?: Record<string, string | number>) => Promise<Answers[T]>;

export interface Figures {
  isolates: { objects: number; ofOneScript: number; scriptsShare: boolean; colos: string[] };
  hopMs: { median: number; p95: number };
  /** Multiplications a second; a text says why there are none. */
  compute: { relaxed: number | string; simd: number | string };
  /** Megabytes that an object got before it failed, and with another script's object holding as many. */
  memory: { alone: number; reached: boolean; both: number };
  r2: { firstMs: number; aloneMbPerSecond: number; fourMbPerSecond: number } | null;
}

const quantile = (sorted: number[], q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;

/** Cloudflare stops an isolate at 128 MB; a probe that gets this far has met no limit. */
const STEP_MB = 16;

/** @param mostMb where to stop asking for memory */
export async function measure(ask: Ask, run: string, { mostMb, hops }: { mostMb: number; hops: number }): Promise<Figures> {
  const { a, b } = await ask('isolates', { run, objects: 6 });
  const ofA = new Set(a.map(({ isolate }) => isolate));
  const times = (await ask('hops', { run, count: hops })).toSorted((x, y) => x - y);
  const speed = async (build: string) => {
    const answer = await ask('compute', { run, build, times: 300 }).catch((error: Error) => error.message);
    return typeof answer === 'string' ? answer : answer.multiplications / Math.max(0.001, answer.ms / 1000);
  };
  const compute = { relaxed: await speed('relaxed'), simd: await speed('simd') };
  const read = await ask('r2', { run });
  const rate = ({ bytes, ms }: Read) => bytes / 1e6 / Math.max(0.001, ms / 1000);
  const r2 = read && { firstMs: read.first.ms, aloneMbPerSecond: rate(read.alone), fourMbPerSecond: rate(read.four) };
  // The last one: it may end the objects that it asks.
  const memory = await measureMemory(ask, run, mostMb);
  return {
    isolates: {
      objects: a.length,
      ofOneScript: ofA.size,
      scriptsShare: b.some(({ isolate }) => ofA.has(isolate)),
      colos: [...new Set([...a, ...b].map(({ colo }) => colo))],
    },
    hopMs: { median: quantile(times, 0.5), p95: quantile(times, 0.95) },
    ...{ compute, memory, r2 },
  };
}

async function measureMemory(ask: Ask, run: string, mostMb: number): Promise<Figures['memory']> {
  const grow = async (script: string) => {
    for (let held = 0; held < mostMb; held += STEP_MB) {
      const ok = await ask('hold', { run, script, megabytes: STEP_MB }).catch(() => null);
      // An object that was restarted has nothing of what it held.
      if (ok === null || ok < held + STEP_MB) return held;
    }
    return mostMb;
  };
  const alone = await grow('a');
  await ask('release', { run });
  const [first, second] = [await grow('a'), await grow('b')];
  await ask('release', { run }).catch(() => null);
  return { alone, reached: alone < mostMb, both: Math.min(first, second) };
}

/** A table, a line for each question. */
export function describeFigures({ isolates, hopMs, compute, memory, r2 }: Figures, where: string): string[] {
  const speed = (value: number | string) =>
    typeof value === 'string' ? `not there (${value})` : `${(value / 1e9).toFixed(1)} G multiplications a second`;
  const rows: [string, string][] = [
    ['objects of one script', `${isolates.objects} objects in ${isolates.ofOneScript} isolate${isolates.ofOneScript > 1 ? 's' : ''}`],
    ['objects of two scripts', isolates.scriptsShare ? 'share isolates: stages would share 128 MB' : 'share no isolate'],
    ['data centres', isolates.colos.join(', ')],
    ['hop with 4 KB, there and back', `${hopMs.median.toFixed(2)} ms median of tens, ${hopMs.p95.toFixed(2)} ms p95`],
    ['relaxed SIMD, q4_0', speed(compute.relaxed)],
    ['plain SIMD, q4_0', speed(compute.simd)],
    ['WebAssembly memory of an object', memory.reached ? `${memory.alone} MB, then it ended` : `no limit up to ${memory.alone} MB`],
    ['two scripts at once', `${memory.both} MB each`],
    [
      'R2 read of 8 MiB',
      r2
        ? `${r2.firstMs.toFixed(0)} ms at first, then ${r2.aloneMbPerSecond.toFixed(0)} MB/s, ${r2.fourMbPerSecond.toFixed(0)} MB/s by four at once`
        : 'not measured: there is no bucket',
    ],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  return [`Measured ${where}:`, ...rows.map(([what, value]) => `  ${what.padEnd(width)}  ${value}`)];
}
