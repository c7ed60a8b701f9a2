import { ModelError } from '../model-error.ts';
import type { Command } from './command.ts';
import { inspect } from './inspect.ts';
import { pack } from './pack.ts';
import { verify } from './verify.ts';

const COMMANDS: Record<string, Command> = { pack, inspect, verify };

const HELP = `npm run -s models -- COMMAND ...

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

COMMAND --help says more about each.`;

/** Node's parseArgs throws these for unknown options and missing values; their messages are fit for users. */
const isUsageError = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');

async function main([name, ...args]: string[]): Promise<void> {
  if (name === undefined || name === '--help' || name === 'help') {
    console.log(HELP);
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new ModelError(`There is no command "${name}"; the commands are ${Object.keys(COMMANDS).join(', ')}.`);
  if (args.includes('--help')) console.log(command.help);
  else await command.run(args);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof ModelError) console.error(error.message);
  else if (isUsageError(error)) console.error(`${error.message.split('. ')[0]}; see --help.`);
  else console.error(error);
  process.exitCode = 1;
});
