import { ModelError } from '../model-error.ts';

/** One subcommand of `npm run -s models`. */
export interface Command {
  /** One line for the list of commands. */
  summary: string;
  /** Printed by `--help`. */
  help: string;
  /** Runs it with the arguments after its name. A `ModelError` is shown to the user as its sentence. */
  run(args: string[]): Promise<void>;
}

/** The positional arguments by name. Throws `ModelError` when there are more or fewer. */
export function positionals<Name extends string>(given: string[], ...names: Name[]): Record<Name, string> {
  if (given.length !== names.length) {
    throw new ModelError(`Expected ${names.join(' ')} and got ${given.length} argument${given.length === 1 ? '' : 's'}; see --help.`);
  }
  return Object.fromEntries(names.map((name, i) => [name, given[i]])) as Record<Name, string>;
}

/** A numeric option, or `fallback` when it was not given. Throws `ModelError` when it is no number or out of bounds. */
export function numberOption(name: string, text: string | undefined, fallback: number, bounds: { min: number; integer?: boolean }): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  const ok = text.trim() !== '' && Number.isFinite(value) && value >= bounds.min && (!bounds.integer || Number.isInteger(value));
  if (!ok)
    throw new ModelError(
      `--${name} must be ${bounds.integer ? 'a whole number' : 'a number'} of at least ${bounds.min}, and "${text}" is not.`,
    );
  return value;
}
