import { type ParseArgsConfig, parseArgs } from 'node:util';
import { firstSentence, isOptionError } from '../models/cli/option-errors.ts';

type Values = Record<string, string | boolean | undefined>;

interface Takes {
  /** `--help` comes on top. */
  options?: ParseArgsConfig['options'];
  allowPositionals?: boolean;
}

/**
 * Runs a script's main function: an error, or an option that the script does not take, becomes a line on stderr and exit code 1, and `--help` prints `help`.
 * @param main with the options' values and the other arguments
 */
export async function runScript(
  help: string,
  main: (values: Values, positionals: string[]) => Promise<void>,
  { options = {}, allowPositionals = false }: Takes = {},
): Promise<void> {
  try {
    const parsed = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } }, allowPositionals });
    const values = parsed.values as Values;
    if (values.help) console.log(help);
    else await main(values, parsed.positionals);
  } catch (error) {
    console.error(usageSentence(error) ?? (error instanceof Error ? error.message : error));
    process.exitCode = 1;
  }
}

/** What is wrong with the options by Node's complaint, and where to read about them; null for any other error. */
export function usageSentence(error: unknown): string | null {
  return isOptionError(error) ? `${firstSentence(error)}. See --help.` : null;
}
