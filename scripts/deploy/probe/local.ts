import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ask } from './measure.ts';

const KEY = 'local';

/** The probe's Workers in one local workerd. @param bundle folder that `wrangler deploy --dry-run --outdir` wrote */
export async function startLocalProbe(bundle: string): Promise<{ ask: Ask; stop(): Promise<void> }> {
  const { convertV4MiniflareOptions, Miniflare } = await import('miniflare');
  const names = (await readdir(bundle))
    .filter((name) => /\.(js|wasm)$/.test(name))
    .sort((a, b) => Number(b.endsWith('.js')) - Number(a.endsWith('.js')));
  const modules = names.map((name) => ({
    type: name.endsWith('.js') ? ('ESModule' as const) : ('CompiledWasm' as const),
    path: join(bundle, name),
  }));
  const shared = { modules, modulesRoot: bundle, compatibilityDate: '2026-11-02' };
  const objects = (script: string) => ({ className: 'Probe', scriptName: `probe-${script}`, useSQLite: true });
  const own = { className: 'Probe', useSQLite: true };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          name: 'probe',
          ...shared,
          bindings: { PROBE_KEY: KEY },
          r2Buckets: { MODELS: 'probe' },
          durableObjects: { A: objects('a'), B: objects('b'), SELF: own },
        },
        { name: 'probe-a', ...shared, durableObjects: { SELF: own, B: objects('b') } },
        { name: 'probe-b', ...shared, durableObjects: { SELF: own } },
      ],
    }),
  );
  await miniflare.ready;
  const fetch = (url: string, init: { headers: Record<string, string> }) =>
    miniflare.dispatchFetch(url, init) as unknown as Promise<Response>;
  return { ask: askOver(fetch, 'http://probe.invalid', KEY), stop: () => miniflare.dispose() };
}

/** Asks a probe Worker over HTTP. */
export function askOver(
  fetch: (url: string, init: { headers: Record<string, string> }) => Promise<Response>,
  base: string,
  key: string,
): Ask {
  return async (test, query = {}) => {
    const parameters = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]));
    const response = await fetch(`${base}/${test}?${parameters}`, { headers: { authorization: `Bearer ${key}` } });
    const answer = (await response.json().catch(() => ({ error: `The probe Worker answered ${response.status}.` }))) as {
      value: never;
      error?: string;
    };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  };
}
