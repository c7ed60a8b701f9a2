import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { createNodeEdgeServer } from '../../../scripts/edge-node/place.ts';
import { parseEdgeConfig } from '../../../worker/edge/config.ts';

const DEPLOY = join(import.meta.dirname, '../../../deploy');

const files = readdirSync(DEPLOY, { recursive: true, encoding: 'utf8' }).filter(
  (name) => /\.ya?ml$/.test(name) && !name.includes('/templates/'),
);

function documents(name: string): unknown[] {
  return parseAllDocuments(readFileSync(join(DEPLOY, name), 'utf8'), { uniqueKeys: true, merge: true }).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.toJS();
  });
}

interface Schema {
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
}

/** Paths of values that the schema does not know, or knows and the values lack. */
function differences(values: unknown, schema: Schema, path = ''): string[] {
  if (!schema.properties || typeof values !== 'object' || values === null) return [];
  const names = new Set([...Object.keys(values), ...Object.keys(schema.properties)]);
  return [...names].flatMap((name) => {
    const here = `${path}/${name}`;
    const known = schema.properties![name];
    if (!known || !(name in values)) return [here];
    return differences((values as Record<string, unknown>)[name], known, here);
  });
}

interface Service {
  ports?: string[];
  networks?: string[] | object;
  environment?: Record<string, string>;
  secrets?: string[];
  profiles?: string[];
  healthcheck?: object;
}

describe('deploy/', () => {
  it.each(files)('%s is YAML', (name) => {
    expect(documents(name).every((document) => typeof document === 'object')).toBe(true);
  });

  it('describes every value of the chart in its schema, and gives each a default', () => {
    const schema = JSON.parse(readFileSync(join(DEPLOY, 'helm/nearside/values.schema.json'), 'utf8')) as Schema;
    // Of resources, any of Kubernetes' names will do; global is Helm's.
    const found = differences(documents('helm/nearside/values.yaml')[0], schema).filter(
      (path) => !/\/resources\/claims$|^\/global$/.test(path),
    );
    expect(found).toEqual([]);
  });
});

it('the chart scales by figures that the engine tells', async () => {
  const template = readFileSync(join(DEPLOY, 'helm/nearside/templates/autoscaling.yaml'), 'utf8');
  const figures = Array.from(/range .* := dict (.*) \}\}/.exec(template)![1]!.matchAll(/"(\w+)"/g), ([, name]) => name!);
  expect(figures).toContain('queued');
  const status: object = await createNodeEdgeServer(join(DEPLOY, '../models/demo/pack'), parseEdgeConfig({}), 1).status();
  expect(status).toMatchObject(Object.fromEntries(figures.map((name) => [name, expect.any(Number)])));
});

describe('the compose file', () => {
  const { services, networks } = documents('origin/compose/compose.yaml')[0] as {
    services: Record<string, Service>;
    networks: Record<string, { internal?: boolean }>;
  };
  const servers = Object.entries(services).filter(([, service]) => service.secrets?.includes('origin-key'));

  it('publishes no port', () => {
    expect(Object.values(services).flatMap((service) => service.ports ?? [])).toEqual([]);
  });

  it('keeps each model server on the network without a way out, with its key in a file', () => {
    expect(servers.map(([name]) => name).sort()).toEqual(['llama-server', 'sglang', 'vllm']);
    for (const [name, { networks: joined, environment, healthcheck, profiles }] of servers) {
      expect(Object.keys(joined ?? {})).toEqual(['inside']);
      expect(Object.keys(environment ?? {}).filter((variable) => /KEY|TOKEN/.test(variable))).toEqual([]);
      expect(healthcheck).toBeDefined();
      expect(profiles).toEqual([name]);
    }
    expect(networks.inside?.internal).toBe(true);
  });
});
