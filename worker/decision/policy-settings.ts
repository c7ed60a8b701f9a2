import { z } from 'zod';
import { ConfigError, check, parseJson } from '../origin/pool-config.ts';
import type { EdgePrice } from '../routing/figures.ts';
import { isPolicyName, policies } from '../routing/policies.ts';
import { edgePrices } from '../routing/prices.ts';
import type { PolicyName, Residency, Weights } from '../routing/types.ts';

/** What an operator sets of the policy, for the deployment or for a key. Null: not set here. */
export interface PolicySettings {
  name: PolicyName | null;
  weights: Weights | null;
  minQuality: number | null;
  maxTtftMs: number | null;
  residency: Residency | null;
}

export const noPolicySettings: PolicySettings = { name: null, weights: null, minQuality: null, maxTtftMs: null, residency: null };

/** The longest target that makes sense, milliseconds. */
export const longestTtftMs = 600_000;

const names = Object.keys(policies) as PolicyName[];
const weight = z.number().min(0).max(1000);
const policySchema = z.strictObject({
  policy: z
    .enum(names)
    .optional()
    .describe(`one of ${names.join(', ')}`),
  weights: z
    .strictObject({ cost: weight, latency: weight, quality: weight })
    .optional()
    .describe('an object with cost, latency and quality, dollars for a dollar, for a second, and for an answer that is not good enough'),
  min_quality: z.number().min(0).max(1).optional().describe('a probability from 0 to 1'),
  max_ttft_ms: z.int().min(1).max(longestTtftMs).optional().describe(`a whole number of milliseconds from 1 to ${longestTtftMs}`),
  residency: z
    .array(z.string().regex(/^[\x21-\x7e]+$/))
    .min(1)
    .optional()
    .describe("a list of the places where data may go: edge, and origins' regions"),
});

/**
 * Reads NEARSIDE_POLICY, or one entry of NEARSIDE_KEY_POLICIES: the name of a policy, or an object (or its JSON text). Throws `ConfigError`.
 * @param source names it in messages
 */
export function parsePolicySettings(value: unknown, source: string): PolicySettings {
  const given = typeof value === 'string' && value.trim().startsWith('{') ? parseJson(value, source) : value;
  if (typeof given === 'string') {
    const name = given.trim();
    if (isPolicyName(name)) return { ...noPolicySettings, name };
    throw new ConfigError(`${source} is not valid: it must be one of ${names.join(', ')}, or an object with policy.`);
  }
  const { policy, weights, min_quality, max_ttft_ms, residency } = check(policySchema, given, source);
  return {
    name: policy ?? null,
    weights: weights ?? null,
    minQuality: min_quality ?? null,
    maxTtftMs: max_ttft_ms ?? null,
    residency: residency ? residencyOf(residency) : null,
  };
}

/** `edge` is the edge model, anything else the region of origin nodes. */
function residencyOf(places: string[]): Residency {
  return { edge: places.includes('edge'), originRegions: places.filter((place) => place !== 'edge') };
}

/** Shorter beginnings of a digest might fit several keys one day. */
const leastPrefix = 8;

/**
 * Reads NEARSIDE_KEY_POLICIES: an object, or its JSON text, from the first hex digits of a key's digest to what `parsePolicySettings` takes.
 * @param digests the accepted keys', of which each entry must mean exactly one
 * @returns by the digest's place among them
 */
export function parseKeyPolicies(value: unknown, digests: readonly Uint8Array[]): Map<number, PolicySettings> {
  const source = 'NEARSIDE_KEY_POLICIES';
  const given = typeof value === 'string' ? parseJson(value, source) : value;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ConfigError(`${source} is not valid: it must be an object from digests of keys, or their first hex digits, to policies.`);
  }
  const hexes = digests.map((digest) => Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''));
  const found = new Map<number, PolicySettings>();
  for (const [prefix, settings] of Object.entries(given)) {
    // What is no digest may be a key in the wrong place.
    const isDigest = new RegExp(`^[0-9a-f]{${leastPrefix},64}$`, 'i').test(prefix);
    const matching = isDigest ? hexes.flatMap((hex, i) => (hex.startsWith(prefix.toLowerCase()) ? [i] : [])) : [];
    const entry = isDigest ? `entry "${prefix.slice(0, leastPrefix)}"` : `entry ${found.size + 1}`;
    if (matching.length !== 1) {
      const problem = isDigest && matching.length > 1 ? 'it fits several keys' : 'it fits no key';
      throw new ConfigError(
        `${source}: ${entry}: ${problem} of NEARSIDE_API_KEYS; give at least ${leastPrefix} first hex digits of one's digest.`,
      );
    }
    if (found.has(matching[0]!))
      throw new ConfigError(`${source}: ${entry}: there is another entry for the same key; keep one of the two.`);
    found.set(matching[0]!, parsePolicySettings(settings, `${source}: ${entry}`));
  }
  return found;
}

const places = Object.keys(edgePrices) as (keyof typeof edgePrices)[];
const usd = z.number().min(0).optional();
const positive = z.number().positive().optional();
const edgePriceSchema = z.strictObject({
  place: z.enum(places).describe(`one of ${places.join(', ')}`),
  usd_per_hour: usd.describe('a number of dollars'),
  objects: positive.describe('a number over 0'),
  vcpus: positive.describe('a number over 0'),
  gib: positive.describe('a number over 0'),
});

/**
 * Reads NEARSIDE_EDGE_PRICE: the place where the edge model runs, or an object (or its JSON text) with that and what differs from the default there. Throws `ConfigError`.
 * @param ownServer the engine is a server of its own, so that nothing is billed by request
 */
export function parseEdgePrice(value: unknown, ownServer: boolean): EdgePrice {
  const source = 'NEARSIDE_EDGE_PRICE';
  if (value === undefined || (typeof value === 'string' && value.trim() === '')) return edgePrices[ownServer ? 'own' : 'durable-object'];
  const text = typeof value === 'string' ? value.trim() : null;
  const given = text === null ? value : text.startsWith('{') ? parseJson(text, source) : { place: text };
  const { place, usd_per_hour, objects, vcpus, gib } = check(edgePriceSchema, given, source);
  const price = edgePrices[place];
  if (price.by === 'hour') return { ...price, usdPerHour: usd_per_hour ?? price.usdPerHour };
  if (price.by === 'duration') return { ...price, objects: objects ?? price.objects };
  if (price.by === 'vcpu') return { ...price, vcpus: vcpus ?? price.vcpus, gib: gib ?? price.gib };
  return price;
}
