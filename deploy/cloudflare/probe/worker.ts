import { DurableObject } from 'cloudflare:workers';
import { matrixBytes } from '../../../models/pack/manifest.ts';
import { Arena } from '../../../wasm/engine/arena.ts';
import { instantiateKernel } from '../../../wasm/engine/kernel.ts';
import { MATRIX, PART, structBytes, writeStruct } from '../../../wasm/engine/structs.ts';
import relaxed from '../../../wasm/kernel/build/relaxed.wasm';
import simd from '../../../wasm/kernel/build/simd.wasm';

/**
 * Measures what nobody can know from outside Cloudflare (docs/pipeline.md, "Measured, and not"). One bundle, deployed as three Workers: a front that is asked, with
 * a key, and two whose objects do what stages do. `npm run deploy -- probe` deploys it, asks it and removes it.
 */
interface Env {
  A?: DurableObjectNamespace<Probe>;
  B?: DurableObjectNamespace<Probe>;
  MODELS?: R2Bucket;
  PROBE_KEY?: string;
}

/** This isolate's, made at the first call: there is no randomness at start-up. */
let isolate = '';
const isolateId = (): string => {
  isolate ||= crypto.randomUUID();
  return isolate;
};

const ROWS = 4096;
const COLUMNS = 1024;
/** Four bytes for each of 1024 numbers: a hidden state of the 0.8B. */
const HIDDEN_BYTES = 4096;

export class Probe extends DurableObject<Env> {
  #kept: WebAssembly.Memory[] = [];

  async where(trace: boolean): Promise<{ isolate: string; colo: string }> {
    if (!trace) return { isolate: isolateId(), colo: 'unknown' };
    const text = await fetch('https://www.cloudflare.com/cdn-cgi/trace', { signal: AbortSignal.timeout(3000) })
      .then((response) => response.text())
      .catch(() => '');
    return { isolate: isolateId(), colo: /^colo=(\w+)$/m.exec(text)?.[1] ?? 'unknown' };
  }

  async echo(hidden: Uint8Array): Promise<Uint8Array> {
    return hidden;
  }

  /** Mean milliseconds of calls to an object of the other script, one after the other, for so many tens of them: the clock has whole milliseconds, and moves on with I/O. */
  async hops(name: string, count: number): Promise<number[]> {
    const peer = this.env.B!.getByName(name);
    const hidden = new Uint8Array(HIDDEN_BYTES);
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const started = performance.now();
      for (let call = 0; call < 10; call++) await peer.echo(hidden);
      times.push((performance.now() - started) / 10);
    }
    return times;
  }

  /** Multiplies a q4_0 matrix so often. The caller takes the time: this clock may stand still meanwhile. @returns multiplications */
  async compute(build: 'relaxed' | 'simd', times: number): Promise<number> {
    const arena = new Arena(16 << 20);
    const kernel = instantiateKernel(build === 'relaxed' ? relaxed : simd, arena.memory);
    const [matrix, part] = [arena.allocate(structBytes(MATRIX)), arena.allocate(structBytes(PART))];
    const data = arena.allocate(matrixBytes('q4_0', ROWS, COLUMNS));
    const [x, y] = [arena.allocate(4 * COLUMNS * 4), arena.allocate(4 * ROWS * 4)];
    kernel.setProductScratch(arena.allocate(9 * (COLUMNS / 32) * 288), 0);
    const { buffer } = arena.memory;
    writeStruct(buffer, part, PART, { firstRow: 0, rows: ROWS, data });
    writeStruct(buffer, matrix, MATRIX, { type: 2, rows: ROWS, columns: COLUMNS, partCount: 1, parts: part });
    new Float32Array(buffer, x, COLUMNS).fill(0.5);
    for (let i = 0; i < times; i++) {
      kernel.input(x, COLUMNS, 1);
      kernel.product(matrix, y);
    }
    return times * ROWS * COLUMNS;
  }

  /** Takes so much more memory, and uses it. @returns megabytes that this object holds */
  async hold(megabytes: number): Promise<number> {
    const memory = new WebAssembly.Memory({ initial: megabytes * 16 });
    new Uint8Array(memory.buffer).fill(1);
    this.#kept.push(memory);
    return this.#kept.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) / (1 << 20);
  }

  async release(): Promise<void> {
    this.#kept = [];
  }
}

const TESTS: Record<string, (env: Env, query: URLSearchParams) => Promise<unknown>> = {
  async isolates({ A, B }, query) {
    const names = Array.from({ length: Number(query.get('objects') ?? 6) }, (_, i) => `${query.get('run')}:${i}`);
    const of = (namespace: DurableObjectNamespace<Probe>) =>
      Promise.all(names.map((name) => namespace.getByName(name).where(query.get('run') !== 'local')));
    return { a: await of(A!), b: await of(B!) };
  },

  hops: ({ A }, query) => A!.getByName(`${query.get('run')}:0`).hops(`${query.get('run')}:0`, Number(query.get('count') ?? 20)),

  async compute({ A }, query) {
    const object = A!.getByName(`${query.get('run')}:0`);
    const build = query.get('build') === 'simd' ? 'simd' : 'relaxed';
    await object.compute(build, 1);
    const started = performance.now();
    await object.compute(build, 1);
    const once = performance.now() - started;
    const again = performance.now();
    const times = Number(query.get('times') ?? 300);
    const multiplications = await object.compute(build, times + 1);
    return { multiplications: (multiplications * times) / (times + 1), ms: performance.now() - again - once };
  },

  hold: ({ A, B }, query) =>
    (query.get('script') === 'b' ? B! : A!).getByName(`${query.get('run')}:0`).hold(Number(query.get('megabytes'))),

  async release({ A, B }, query) {
    await Promise.all(
      [A!, B!].map((namespace) =>
        namespace
          .getByName(`${query.get('run')}:0`)
          .release()
          .catch(() => {}),
      ),
    );
    return null;
  },

  async r2({ MODELS }, query) {
    if (!MODELS) return null;
    const key = `probe-${query.get('run')}`;
    const bytes = 8 << 20;
    await MODELS.put(key, new Uint8Array(bytes));
    try {
      const read = async (parallel: number) => {
        const started = performance.now();
        await Promise.all(Array.from({ length: parallel }, async () => (await MODELS.get(key))!.arrayBuffer()));
        return { bytes: bytes * parallel, ms: performance.now() - started };
      };
      return { first: await read(1), alone: await read(1), four: await read(4) };
    } finally {
      await MODELS.delete(key);
    }
  },
};

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const test = TESTS[pathname.slice(1)];
    const key = env.PROBE_KEY;
    if (!test || !env.A || !key || request.headers.get('authorization') !== `Bearer ${key}`) return new Response(null, { status: 404 });
    try {
      return Response.json({ value: await test(env, searchParams) });
    } catch (error) {
      return Response.json({ error: (error as Error).message }, { status: 502 });
    }
  },
} satisfies ExportedHandler<Env>;
