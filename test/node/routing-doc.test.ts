import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseEdgePrice, parseKeyPolicies, parsePolicySettings } from '../../worker/decision/policy-settings.ts';
import { priceSchema } from '../../worker/origin/pool-config.ts';
import { policies } from '../../worker/routing/policies.ts';
import { edgePrices, pricesAsOf } from '../../worker/routing/prices.ts';
import { reasonTexts } from '../../worker/routing/reasons.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/routing.md'), 'utf8');

describe('docs/routing.md', () => {
  it('has every reason with its text, and no other', () => {
    const table = page.slice(page.indexOf('| reason | |'));
    const rows = [...table.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, reason, text]) => [reason, text]);
    expect(rows).toEqual(Object.entries(reasonTexts));
  });

  it('names every policy and what it weighs', () => {
    for (const [name, { weights }] of Object.entries(policies)) {
      expect(page).toContain(`\`${name}\``);
      if (['balanced', 'latency', 'cost'].includes(name)) {
        expect(page).toMatch(new RegExp(`\\| \`${name}\`[^|]*\\| \\$${dollars(weights.latency)} \\| \\$${dollars(weights.quality)} \\|`));
      }
    }
  });

  it('has the date of the prices, every place, and the price of each', () => {
    expect(page).toContain(`Defaults as of ${pricesAsOf}`);
    for (const place of Object.keys(edgePrices)) expect(page).toContain(`| \`${place}\` |`);
    expect(page).toContain(`$${edgePrices['durable-object'].usdPerGbSecond * 1e6}0 per million GB-s`);
    expect(page).toContain(`$${edgePrices.container.usdPerVcpuSecond * 1e6} per million vCPU-s`);
    expect(page).toContain(`$${edgePrices.own.usdPerHour} an hour`);
  });

  it('shows settings that are taken', () => {
    const objects = [...page.matchAll(/`(\{"[^`]*\})`/g)].map(([, text]) => JSON.parse(text!));
    const [policy, byKey] = objects;
    expect(parsePolicySettings(policy, 'the page')).toMatchObject({ name: 'balanced', residency: { edge: true, originRegions: ['eu'] } });
    const digests = Object.keys(byKey).map((prefix) => Buffer.from(prefix.padEnd(64, '0'), 'hex'));
    expect(parseKeyPolicies(byKey, digests).size).toBe(2);
    const places = objects.filter((object) => 'place' in object);
    expect(places.map((object) => parseEdgePrice(object, false).by)).toEqual(['duration', 'vcpu', 'hour']);
    const gpu = JSON.parse(/```json\n(.*?)```/s.exec(page)![1]!);
    for (const price of [gpu, ...objects.filter((object) => 'input' in object)]) expect(priceSchema.safeParse(price).success).toBe(true);
  });
});

const dollars = (value: number): string => value.toFixed(5).replace(/0+$/, '');
