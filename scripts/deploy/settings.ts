import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { ConfigError, parsePools } from '../../worker/origin/pool-config.ts';
import { DeployError } from './deploy-error.ts';

const PLACEMENTS = ['isolate', 'pipeline', 'container'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/** Places that Durable Objects can be asked to start near: https://developers.cloudflare.com/durable-objects/reference/data-location/ */
export const REGIONS = ['wnam', 'enam', 'sam', 'weur', 'eeur', 'apac', 'oc', 'afr', 'me'] as const;

/** `nearside.toml`. Paths are as written there. */
export interface Settings {
  /** All Workers' names begin with it. */
  name: string;
  /** Account id; null: CLOUDFLARE_ACCOUNT_ID, or the only one there is. */
  account: string | null;
  model: {
    /** Folder of the pack. */
    pack: string;
    /** The R2 bucket it is uploaded to. */
    bucket: string;
    /** Name it is offered under; null for the pack's own. */
    name: string | null;
  };
  edge: {
    placement: Placement;
    /** Requests at once and waiting in one replica, and tokens of each. */
    sessions: number;
    queue: number;
    context: number;
    /** What one isolate may take, bytes. */
    budgetBytes: number;
    /** Location hints; none: wherever the first request comes from. */
    regions: string[];
    /** Of each region. */
    replicas: number;
  };
  gateway: {
    /** Its own domain; null for its workers.dev address. */
    domain: string | null;
    /** More variables of worker/config.ts. */
    vars: Record<string, string>;
  };
  /** The list of pools of docs/origins.md, as written. */
  origins: unknown[];
  /** Names of the secrets that the gateway needs, API keys first. */
  secrets: string[];
}

/** A whole number; descriptions complete the sentence "it must be ...". */
const whole = (min: number, max: number, fallback: number) =>
  z.int().min(min).max(max).default(fallback).describe(`a whole number from ${min} to ${max}`);
const scriptName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}[a-z0-9]$/)
  .describe('2 to 32 lower-case letters, digits and hyphens that begin with a letter');
const bucketName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/)
  .describe('the name of an R2 bucket: 3 to 63 lower-case letters, digits and hyphens');
const text = z
  .string()
  .regex(/^[\x21-\x7e]+$/)
  .describe('printable ASCII without spaces');

const schema = z.strictObject({
  name: scriptName.default('nearside'),
  account: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional()
    .describe('an account id, 32 hex digits'),
  model: z
    .strictObject({
      pack: z.string().min(1).describe('the folder of a pack'),
      bucket: bucketName.default('nearside-models'),
      name: text.optional(),
    })
    .describe('a table with pack, the folder of a pack'),
  edge: z
    .strictObject({
      placement: z
        .enum(PLACEMENTS)
        .default('isolate')
        .describe(`one of ${PLACEMENTS.join(', ')}`),
      sessions: whole(1, 64, 4),
      queue: whole(0, 1000, 8),
      context: whole(16, 1_000_000, 512),
      budget_mb: z.number().min(1).max(128).default(100).describe('a number of megabytes from 1 to 128, what an isolate has'),
      regions: z
        .array(z.enum(REGIONS))
        .max(REGIONS.length)
        .refine((list) => new Set(list).size === list.length)
        .default([])
        .describe(`a list of different ones of ${REGIONS.join(', ')}`),
      replicas: whole(1, 16, 1),
    })
    .prefault({}),
  gateway: z
    .strictObject({
      domain: z
        .string()
        .regex(/^([a-z0-9-]+\.)+[a-z]{2,}$/)
        .optional()
        .describe('a domain of the account, such as api.example.com'),
      vars: z.record(z.string(), z.string()).default({}).describe('a table of texts'),
    })
    .prefault({}),
  origins: z.array(z.unknown()).default([]).describe('a list of pools (docs/origins.md)'),
});

/**
 * Reads `nearside.toml`. Throws `DeployError` that names the first key that is wrong; values are not repeated.
 * @param file its name, for messages
 */
export function parseSettings(toml: string, file: string): Settings {
  const parsed = schema.safeParse(parseToml(toml, file));
  if (!parsed.success) throw wrongKey(parsed.error.issues[0]!, file);
  const { name, account, model, edge, gateway, origins } = parsed.data;
  checkVars(gateway.vars, file);
  const secrets = checkOrigins(origins, `${file}: origins`);
  const { budget_mb, ...hosting } = edge;
  return {
    name,
    account: account ?? null,
    model: { ...model, name: model.name ?? null },
    edge: { ...hosting, budgetBytes: budget_mb * 1e6 },
    gateway: { domain: gateway.domain ?? null, vars: gateway.vars },
    origins,
    secrets: ['NEARSIDE_API_KEYS', ...secrets],
  };
}

function parseToml(toml: string, file: string): unknown {
  try {
    return parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split('\n')[0]!.replace('Invalid TOML document: ', '');
    throw new DeployError(`${file} is no TOML at line ${error.line}, column ${error.column}: ${what}.`);
  }
}

function wrongKey(issue: z.core.$ZodIssue, file: string): DeployError {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys')
    return new DeployError(
      `${file}: there is no setting ${[...path, issue.keys[0]!].join('.')}; see deploy/cloudflare/nearside.example.toml.`,
    );
  for (let keys = path; keys.length > 0; keys = keys.slice(0, -1)) {
    const description = schemaAt(keys)?.description;
    if (description) return new DeployError(`${file}: ${keys.join('.')} is not valid: it must be ${description}.`);
  }
  return new DeployError(`${file}: ${path.join('.') || 'it'} is not valid: ${issue.message}.`);
}

/** The schema of a key; null for elements of lists and tables. */
function schemaAt(keys: string[]): (z.core.$ZodType & { description?: string }) | null {
  let found: unknown = schema;
  for (const key of keys) {
    while (found instanceof z.ZodDefault || found instanceof z.ZodPrefault || found instanceof z.ZodOptional) found = found.unwrap();
    if (!(found instanceof z.ZodObject)) return null;
    found = (found.shape as Record<string, unknown>)[key];
  }
  return (found as z.ZodType | undefined) ?? null;
}

/** What is set here would be overwritten, or would lie open: secrets have a place of their own. */
function checkVars(vars: Record<string, string>, file: string): void {
  for (const name of Object.keys(vars)) {
    const where = `${file}: gateway.vars.${name}`;
    if (!/^NEARSIDE_[A-Z0-9_]+$/.test(name))
      throw new DeployError(`${where} is no setting of the gateway: their names begin with NEARSIDE_.`);
    if (/KEY(S|_|$)/.test(name) && !/POLICIES$/.test(name))
      throw new DeployError(`${where} is a secret: leave it out here, and have it in the environment when you apply.`);
    if (name === 'NEARSIDE_DEV') throw new DeployError(`${where} would let everyone call: leave it out, it is for npm run dev.`);
    if (/^NEARSIDE_(ORIGINS|EDGE_(MODEL|REGIONS|REPLICAS))$/.test(name))
      throw new DeployError(`${where} is set by this file's own keys: origins, model.name, edge.regions and edge.replicas.`);
  }
}

/** Checks the pools as the gateway will. @returns names of their secrets, each once */
function checkOrigins(origins: unknown[], source: string): string[] {
  const secrets = new Set<string>();
  const secret = (name: string) => {
    secrets.add(name);
    return 'given';
  };
  const timeouts = { headers: 1, perThousandTokens: 0, firstToken: 1, thinkingFirstToken: 1, idle: 1, total: 1 };
  try {
    parsePools(origins, source, { secret, hasBinding: () => false, timeouts });
  } catch (error) {
    throw error instanceof ConfigError ? new DeployError(error.message) : error;
  }
  return [...secrets];
}
