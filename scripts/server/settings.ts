import { readFileSync } from 'node:fs';
import { UsageError } from '../edge-node/usage-error.ts';

/** NEARSIDE_* settings by name. */
export type Settings = Record<string, string>;

export interface SettingsFiles {
  /** Lines NAME=VALUE, as in a systemd EnvironmentFile. */
  settings: string | null;
  /** JSON for NEARSIDE_ORIGINS. */
  origins: string | null;
}

/** The settings of the environment and of the files, which come after it. Throws `UsageError` for a file that cannot be read. */
export function readSettings(environment: Record<string, string | undefined>, files: SettingsFiles): Settings {
  const settings: Settings = {};
  for (const [name, value] of Object.entries(environment)) if (name.startsWith('NEARSIDE_') && value !== undefined) settings[name] = value;
  if (files.settings !== null) Object.assign(settings, parseSettings(read(files.settings), files.settings));
  if (files.origins !== null) settings.NEARSIDE_ORIGINS = read(files.origins);
  return settings;
}

/** @param path for the error. Throws `UsageError` with the line that is none. */
export function parseSettings(text: string, path: string): Settings {
  const settings: Settings = {};
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*([#;].*)?$/.test(line)) continue;
    const [, name, value] = /^\s*(NEARSIDE_[A-Z0-9_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    // The line itself may be a secret.
    if (name === undefined) throw new UsageError(`${path}, line ${i + 1}: write NEARSIDE_NAME=VALUE, or start a comment with #.`);
    settings[name] = value!.replace(/^(["'])(.*)\1$/, '$2');
  }
  return settings;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}
