import { ModelError } from '../model-error.ts';
import { calibrate } from './calibrate.ts';
import type { Command } from './command.ts';
import { generate } from './generate.ts';
import { inspect } from './inspect.ts';
import { list } from './list.ts';
import { logits } from './logits.ts';
import { firstSentence, isOptionError } from './option-errors.ts';
import { pack } from './pack.ts';
import { plan } from './plan.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { rm } from './rm.ts';
import { tokenize } from './tokenize.ts';
import { verify } from './verify.ts';

const COMMANDS: Record<string, Command> = { pack, inspect, verify, plan, logits, tokenize, generate, calibrate, pull, push, list, rm };

/** How it is called, in the commands' help. */
const PROGRAM = 'npm run -s models --';

const HELP = `${PROGRAM} COMMAND ...

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`)
  .join('\n')}

COMMAND --help says more about each.`;

/** Errors whose message is for users. By name, since the engine's class is loaded only where it is needed. */
const EXPECTED = new Set([ModelError.name, 'StageError', 'TemplateError']);

async function run([name, ...args]: string[], program: string): Promise<void> {
  const print = (help: string) => console.log(help.replaceAll(PROGRAM, program));
  if (name === undefined || name === '--help' || name === 'help') {
    print(HELP);
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new ModelError(`There is no command "${name}"; the commands are ${Object.keys(COMMANDS).join(', ')}.`);
  if (args.includes('--help')) print(command.help);
  else await command.run(args);
}

/** Runs the command line and answers the exit code: 0, or 1 after one sentence on stderr for what the user can mend, and a stack for what only we can. @param program how it is called, for help */
export async function main(args: string[], program = PROGRAM): Promise<number> {
  try {
    await run(args, program);
    return 0;
  } catch (error) {
    if (error instanceof Error && EXPECTED.has(error.name)) console.error(error.message);
    else if (isOptionError(error)) console.error(`${firstSentence(error)}; see --help.`);
    else console.error(error);
    return 1;
  }
}
