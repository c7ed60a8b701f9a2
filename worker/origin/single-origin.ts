import type { Variables } from '../config.ts';
import { ConfigError, type EndpointConfig, type OriginTimeouts, type PoolConfig, parseJson, priceSchema } from './pool-config.ts';

/** Whether a variable has a value. A TOML table arrives decoded. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && !(typeof value === 'string' && value.trim() === '');
}

function parsePrice(value: unknown): EndpointConfig['price'] {
  if (!isGiven(value)) return null;
  const price = priceSchema.safeParse(typeof value === 'string' ? parseJson(value, 'NEARSIDE_ORIGIN_PRICE') : value);
  if (!price.success) throw new ConfigError(`NEARSIDE_ORIGIN_PRICE is not valid: it must be ${priceSchema.description}.`);
  return price.data;
}

/**
 * The origin of NEARSIDE_ORIGIN_URL, as a pool of one; null without it. Throws `ConfigError` for half of one.
 * @param price NEARSIDE_ORIGIN_PRICE
 */
export function singleOrigin(vars: Variables, price: unknown, timeouts: OriginTimeouts): PoolConfig | null {
  const { NEARSIDE_ORIGIN_URL: url, NEARSIDE_ORIGIN_MODEL: model } = vars;
  if (!url) {
    if (model) throw new ConfigError('NEARSIDE_ORIGIN_MODEL is set but NEARSIDE_ORIGIN_URL is not: set both, or neither for no origin.');
    return null;
  }
  if (!model)
    throw new ConfigError('NEARSIDE_ORIGIN_URL is set but NEARSIDE_ORIGIN_MODEL is not: set it to the model name the origin serves.');
  const endpoint = {
    name: 'origin',
    url: url.replace(/\/+$/, ''),
    kind: vars.NEARSIDE_ORIGIN_KIND,
    model,
    region: null,
    weight: 1,
    priority: 0,
    price: parsePrice(price),
    context: null,
    modalities: null,
    key: vars.NEARSIDE_ORIGIN_KEY ?? null,
    binding: null,
  };
  return { model, endpoints: [endpoint], fallback: [], timeouts, retries: 2, hedging: false, quality: null };
}

/** For all pools that do not say otherwise. */
export function originTimeouts(vars: Variables): OriginTimeouts {
  return {
    headers: vars.NEARSIDE_ORIGIN_HEADERS_TIMEOUT_MS,
    perThousandTokens: vars.NEARSIDE_ORIGIN_TIMEOUT_MS_PER_1K_TOKENS,
    firstToken: vars.NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS,
    thinkingFirstToken: vars.NEARSIDE_ORIGIN_THINKING_TIMEOUT_MS ?? 3 * vars.NEARSIDE_ORIGIN_FIRST_TOKEN_TIMEOUT_MS,
    idle: vars.NEARSIDE_ORIGIN_IDLE_TIMEOUT_MS,
    total: vars.NEARSIDE_ORIGIN_TOTAL_TIMEOUT_MS,
  };
}
