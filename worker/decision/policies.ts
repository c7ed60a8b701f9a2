import { ApiError } from '../../routes/errors.ts';
import type { Preferences } from '../../routes/gateway.ts';
import { callerName } from '../access/keys.ts';
import { anywhere, isPolicyName, narrower, policies, policyOf } from '../routing/policies.ts';
import type { Limits, Policy, PolicyName } from '../routing/types.ts';
import { longestTtftMs, noPolicySettings, type PolicySettings } from './policy-settings.ts';

export interface PolicySources {
  /** SHA-256 digests of the accepted keys. */
  keyDigests: readonly Uint8Array[];
  deployment: PolicySettings;
  /** By the key's place among the digests. */
  keys: ReadonlyMap<number, PolicySettings>;
  limits: Limits;
}

/** The policy where nobody names one. */
const unnamed: PolicyName = 'balanced';

/** What the deployment, the key and the request want, as one policy: the key's counts before the deployment's, and a request can only choose within both. */
export class Policies {
  readonly #sources: PolicySources;
  /** Values only, made by whichever request comes first. */
  #byCaller: Map<string, PolicySettings> | null = null;

  constructor(sources: PolicySources) {
    this.#sources = sources;
  }

  /**
   * The policy for a request. Throws 400 for a header that is not valid, 403 for one that asks for a route that the operator has ruled out.
   * @param caller as `authorize` named it
   */
  async of(caller: string, asked: Preferences): Promise<Policy> {
    const { deployment, limits } = this.#sources;
    const set = merged(deployment, (await this.#keyPolicies()).get(caller) ?? noPolicySettings);
    const name = policyName(asked.policy);
    const maxTtftMs = milliseconds(asked.maxTtftMs) ?? set.maxTtftMs;
    const own = set.name ?? unnamed;
    const policy = policyOf(name === null ? own : narrowed(own, name), limits, { maxTtftMs, residency: set.residency ?? anywhere });
    if (policy.name !== own) return policy;
    const { weights, minQuality, yields } = policy;
    // A least quality that somebody has set is meant; none at all asks for nothing that could give way.
    const isMeant = set.minQuality !== null && set.minQuality > 0;
    return { ...policy, weights: set.weights ?? weights, minQuality: set.minQuality ?? minQuality, yields: yields && !isMeant };
  }

  async #keyPolicies(): Promise<Map<string, PolicySettings>> {
    if (this.#byCaller) return this.#byCaller;
    const { keyDigests, keys } = this.#sources;
    const byCaller = new Map<string, PolicySettings>();
    for (const [i, settings] of keys) byCaller.set(await callerName(keyDigests[i]!), settings);
    this.#byCaller = byCaller;
    return byCaller;
  }
}

function merged(deployment: PolicySettings, key: PolicySettings): PolicySettings {
  // Weights belong to the policy that they were given with.
  const same = key.name === null || key.name === (deployment.name ?? unnamed);
  return {
    name: key.name ?? deployment.name,
    weights: key.weights ?? (same ? deployment.weights : null),
    minQuality: key.minQuality ?? (same ? deployment.minQuality : null),
    maxTtftMs: key.maxTtftMs ?? deployment.maxTtftMs,
    residency: narrower(deployment.residency ?? anywhere, key.residency ?? anywhere),
  };
}

/** What a request may make of the operator's policy: where that leaves one route, the request's cannot bring the other one back. */
function narrowed(own: PolicyName, asked: PolicyName): PolicyName {
  const [allowed, wanted] = [policies[own].routes, policies[asked].routes];
  if (allowed === 'both') return asked;
  if (wanted === 'both' || wanted === allowed) return own;
  throw new ApiError(403, 'route_not_allowed', `The policy ${asked} is not allowed here: this API key or gateway is set to ${own}.`, {
    param: 'x-nearside-policy',
  });
}

function policyName(given: string | null): PolicyName | null {
  if (given === null || isPolicyName(given)) return given;
  const names = Object.keys(policies).join(', ');
  throw new ApiError(400, 'invalid_value', `Invalid value for x-nearside-policy: it must be one of ${names}.`, {
    param: 'x-nearside-policy',
  });
}

function milliseconds(given: string | null): number | null {
  if (given === null) return null;
  const value = /^\d{1,6}$/.test(given) ? Number(given) : 0;
  if (value >= 1 && value <= longestTtftMs) return value;
  throw new ApiError(
    400,
    'invalid_value',
    `Invalid value for x-nearside-max-ttft-ms: it must be a whole number of milliseconds from 1 to ${longestTtftMs}.`,
    { param: 'x-nearside-max-ttft-ms' },
  );
}
