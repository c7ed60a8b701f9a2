import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BENCH_CACHE = join(ROOT, '.cache/bench');
/** Where local R2 lies: the folder that wrangler calls its state. */
export const STATE = join(BENCH_CACHE, 'state');

export interface BenchWorker {
  /** Asks the Worker; a body is sent as JSON. @throws with its text when the answer is no success */
  ask<T>(path: string, body?: unknown): Promise<T>;
  inspectorUrl(): Promise<string>;
  stop(): Promise<void>;
}

/** Bundles a Worker of the benchmark as `wrangler deploy` would. Answers the folder of its modules. */
export function bundleWorker(config: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'nearside-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  execFileSync(
    process.execPath,
    [join(ROOT, 'node_modules/wrangler/bin/wrangler.js'), 'deploy', '--dry-run', '--config', config, '--outdir', folder],
    {
      cwd: ROOT,
      stdio: 'pipe',
      env: { ...process.env, CI: 'true', WRANGLER_SEND_METRICS: 'false' },
    },
  );
  return folder;
}

/** Starts a bundled Worker in a workerd of its own. Nothing holds it to 128 MB here. */
export async function startWorker(folder: string): Promise<BenchWorker> {
  const modules = readdirSync(folder)
    .filter((name) => /\.(js|wasm)$/.test(name))
    // The entry is the first.
    .sort((a, b) => Number(b === 'index.js') - Number(a === 'index.js'))
    .map((name) => ({ type: name.endsWith('.js') ? ('ESModule' as const) : ('CompiledWasm' as const), path: join(folder, name) }));
  const worker = {
    name: 'bench',
    modules,
    modulesRoot: folder,
    compatibilityDate: '2026-11-02',
    // Its engine would be gone after ten seconds in which others were measured.
    durableObjects: { BENCH: { className: 'Bench', useSQLite: true, unsafePreventEviction: true } },
    r2Buckets: { MODELS: 'nearside-bench' },
  };
  const shared = { resourcePersistencePath: join(STATE, 'v3'), inspectorPort: 0 };
  const miniflare = new Miniflare(convertV4MiniflareOptions({ workers: [worker], ...shared }));
  await miniflare.ready;
  return {
    async ask<T>(path: string, body?: unknown): Promise<T> {
      const options = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
      const response = await miniflare.dispatchFetch(`http://bench${path}`, options);
      if (!response.ok) throw new Error(`The benchmark's Worker answered ${response.status} to ${path}: ${await response.text()}`);
      return (await response.json()) as T;
    },
    inspectorUrl: async () => (await miniflare.getInspectorURL()).href,
    stop: () => miniflare.dispose(),
  };
}
