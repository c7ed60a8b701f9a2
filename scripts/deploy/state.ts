import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { DeployError } from './deploy-error.ts';

const releaseSchema = z.object({
  version: z.string(),
  gatewayHash: z.string(),
  /** Names of its engine and stages, which must all be there to go back to it. */
  scripts: z.array(z.string()),
  bucket: z.string(),
  prefix: z.string(),
  /** The gateway's configuration as it was deployed, beside its bundle; relative to the folder of deployments. */
  gateway: z.string(),
  /** ISO 8601. */
  at: z.string(),
});
const schema = z.object({ releases: z.array(releaseSchema), current: z.number().int().nullable() });

/** What a gateway has been switched to. */
export type Release = z.infer<typeof releaseSchema>;
/** What was deployed from here, oldest first, and which of it serves. The account is asked for everything else. */
export type State = z.infer<typeof schema>;

/** Throws `DeployError` for a file that somebody else wrote. */
export function readState(path: string): State {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { releases: [], current: null };
    throw new DeployError(`${path} is damaged: remove it and apply again, which finds on the account what is there.`);
  }
}

/** Whole or not at all. */
export function writeState(path: string, state: State): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

export const currentRelease = ({ releases, current }: State): Release | null => (current === null ? null : (releases[current] ?? null));

/** With a release that serves from now on; one like it that served before is not there twice. */
export function withRelease({ releases }: State, release: Release): State {
  const others = releases.filter(({ version, gatewayHash }) => version !== release.version || gatewayHash !== release.gatewayHash);
  return { releases: [...others, release], current: others.length };
}
