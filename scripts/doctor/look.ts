import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Manifest } from '../../models/pack/manifest.ts';
import { parsePools } from '../../worker/origin/pool-config.ts';
import { DeployError } from '../deploy/deploy-error.ts';

/** Sizes of all files, without reading them. @returns what is wrong, a sentence each */
export async function quickVerify(folder: string, { files, tokenizer }: Manifest): Promise<string[]> {
  const problems: string[] = [];
  for (const { name, bytes } of tokenizer ? [...files, tokenizer] : files) {
    const found = await stat(join(folder, name)).catch(() => null);
    if (!found) problems.push(`${name} is missing.`);
    else if (found.size !== bytes) problems.push(`${name} has ${found.size} bytes instead of ${bytes}.`);
  }
  return problems;
}

export interface OriginToAsk {
  name: string;
  url: string;
  model: string;
  key: string | null;
  /** Name of a binding: nobody but the Worker can reach it. */
  binding: string | null;
}

/** The endpoints of a list of pools, with keys from the environment. */
export function originsOf(origins: unknown[], secret: (name: string) => string | undefined): OriginToAsk[] {
  const timeouts = { headers: 1, perThousandTokens: 0, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
  // A key that is not here is none, so that the list can be read all the same.
  const pools = parsePools(origins, 'origins', { secret: (name) => secret(name) || '-', hasBinding: () => true, timeouts });
  return pools.flatMap(({ endpoints }) =>
    endpoints.map(({ name, url, model, key, binding }) => ({ name, url, model, key: key === '-' ? null : key, binding })),
  );
}

const TIMEOUT_MS = 5_000;

/** Asks an endpoint for its models. @returns its status and their ids; an Error when it cannot be reached */
export async function askOrigin(
  { url, key }: OriginToAsk,
  fetch = globalThis.fetch,
): Promise<{ status: number; models: string[] } | Error> {
  try {
    const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
    const response = await fetch(`${url}/models`, { headers, signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'manual' });
    const body = (await response.json().catch(() => null)) as { data?: { id?: unknown }[] } | null;
    const models = (Array.isArray(body?.data) ? body.data : []).map((entry) => entry?.id).filter((id) => typeof id === 'string');
    return { status: response.status, models };
  } catch (error) {
    const { cause } = error as Error;
    return new Error(cause instanceof Error && cause.message ? cause.message : (error as Error).message);
  }
}

/** This clock minus a server's, milliseconds; null when it does not answer. HTTP dates have whole seconds. */
export async function clockSkewMs(url: string, fetch = globalThis.fetch, now = Date.now): Promise<number | null> {
  const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'manual' }).catch(() => null);
  const date = Date.parse(response?.headers.get('date') ?? '');
  return Number.isNaN(date) ? null : now() - date - 500;
}

export const asError = (error: unknown): Error => (error instanceof Error ? error : new DeployError(String(error)));
