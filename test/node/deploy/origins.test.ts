import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type OriginTimeouts, type PoolConfig, parsePools } from '../../../worker/origin/pool-config.ts';

const ROOT = join(import.meta.dirname, '../../..');
const EXAMPLES = 'deploy/helm/nearside/examples';

const timeouts: OriginTimeouts = { headers: 1, perThousandTokens: 1, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };

/** As a gateway reads them that has what they refer to. */
function pools(list: unknown, where: string, { bindings = true } = {}): PoolConfig[] {
  return parsePools(list, where, { secret: () => 'key', hasBinding: () => bindings, timeouts });
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Blocks marked as JSON that are lists of pools. */
function listsOf(path: string): string[] {
  return [...read(path).matchAll(/^```json[^\n]*\n(.*?)^```$/gms)].map(([, text]) => text!).filter((text) => text.includes('"endpoints"'));
}

describe('lists of origins in the documentation', () => {
  it.each(['docs/origins.md', 'docs/deploy-origin.md'])('are ones that the gateway takes: %s', (path) => {
    const lists = listsOf(path);
    expect(lists.length).toBeGreaterThan(0);
    for (const list of lists) expect(pools(list, path).length).toBeGreaterThan(0);
  });

  it('name the pool as the servers of deploy/origin do', () => {
    const served = ['compose/compose.yaml', 'kubernetes/values.yaml'].map((file) => read(`deploy/origin/${file}`));
    for (const list of listsOf('docs/deploy-origin.md')) {
      const { model, endpoints } = pools(list, 'list')[0]!;
      for (const endpoint of endpoints) for (const text of served) expect(text).toContain(endpoint.model);
      expect(model).toBe('Qwen/Qwen3.5-9B');
    }
  });
});

describe('examples of the chart', () => {
  it.each(readdirSync(join(ROOT, EXAMPLES)))('%s: its origins are ones that the gateway takes, without bindings', (file) => {
    const { gateway } = parse(read(`${EXAMPLES}/${file}`)) as { gateway: { origins: unknown; secrets: Record<string, unknown> } };
    const names = new Set<string>();
    const list = parsePools(gateway.origins, file, {
      secret(name) {
        names.add(name);
        return 'key';
      },
      hasBinding: () => false,
      timeouts,
    });
    expect(list.length).toBeGreaterThan(0);
    for (const name of names) expect(gateway.secrets).toHaveProperty(name);
  });
});
