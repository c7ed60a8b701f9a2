import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { firstSentence, isOptionError } from '../models/cli/option-errors.ts';
import { ModelError } from '../models/model-error.ts';

/** A mistake of the person at the keyboard: told in one sentence, without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Bounds {
  /** At least this. */
  min?: number;
  /** More than this. */
  over?: number;
  max?: number;
  whole?: boolean;
}

/** A number of the command line; 0 is allowed unless the bounds say otherwise. Throws `UsageError`. @param name of the option, without its dashes */
export function numberOption(name: string, text: string, bounds: Bounds = {}): number {
  const value = Number(text);
  if (text.trim() !== '' && isWithin(value, bounds)) return value;
  throw new UsageError(`--${name} must be a ${describe(bounds)}, and "${text}" is not.`);
}

/** So many numbers with `separator` between them. Throws `UsageError`. */
export function numbersOption(name: string, text: string, separator: string, count: number, bounds: Bounds = {}): number[] {
  const parts = text.split(separator);
  const values = parts.map(Number);
  if (parts.length === count && parts.every((part) => part.trim() !== '') && values.every((value) => isWithin(value, bounds)))
    return values;
  throw new UsageError(`--${name} must be ${count} times a ${describe(bounds)}, with ${separator} between them, and "${text}" is not.`);
}

/** A file of the command line. Throws `UsageError` where there is none. */
export function fileOption(name: string, path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
  throw new UsageError(`--${name}: there is no file ${path}.`);
}

/** The folder of a pack. Throws `UsageError` where there is none. */
export function packOption(name: string, path: string): string {
  return packFolder(path, `--${name}: `);
}

/** The same as an argument without a name. */
export function packFolder(path: string, before = ''): string {
  if (existsSync(join(path, 'manifest.json'))) return path;
  throw new UsageError(`${before}${path} is not a pack: it has no manifest.json.`);
}

/** A file that has to be fetched first. Throws `UsageError` with what `find` says of the way to get it. */
export function fetched(find: () => string): string {
  try {
    return find();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** One of several words. Throws `UsageError` for another. */
export function choiceOption(name: string, text: string, choices: readonly string[]): string {
  if (choices.includes(text)) return text;
  throw new UsageError(`--${name} must be ${choices.join(' or ')}, and "${text}" is not.`);
}

/**
 * Has signals end this process by `exit`, so that what was started in groups of its own is told to end, too. Not for what computes without a pause: it would hear no signal, and
 * one that nobody handles ends it at once.
 */
export function exitOnSignals(): void {
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
}

/** Runs a command; where it was called wrongly, says so in one sentence and sets the exit code. Other errors pass. @param help how to see what it takes */
export async function runOrTell(help: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const said = sentenceOf(error);
    if (said === null) throw error;
    console.error(`${said} See ${help}.`);
    process.exitCode = 1;
  }
}

function sentenceOf(error: unknown): string | null {
  if (error instanceof UsageError || error instanceof ModelError) return error.message;
  return isOptionError(error) ? `${firstSentence(error)}.` : null;
}

const isWithin = (value: number, { min = 0, over = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, whole = false }: Bounds) =>
  Number.isFinite(value) && value >= min && value > over && value <= max && (!whole || Number.isInteger(value));

function describe({ min = 0, over, max, whole }: Bounds): string {
  const kind = whole ? 'whole number' : 'number';
  if (over !== undefined) return `${kind} over ${over}${max === undefined ? '' : ` and at most ${max}`}`;
  return max === undefined ? `${kind} of at least ${min}` : `${kind} from ${min} to ${max}`;
}
