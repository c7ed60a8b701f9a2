import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { firstSentence, isOptionError } from '../models/cli/option-errors.ts';
import { applyCommand, destroyCommand, planCommand, pruneCommand, rollbackCommand, statusCommand } from './deploy/commands.ts';
import { DeployError } from './deploy/deploy-error.ts';

const HELP = `npm run deploy -- COMMAND [--config FILE]

Deploys the gateway, the engine and its stages to Cloudflare, as nearside.toml says (deploy/cloudflare/nearside.example.toml explains it).

  plan      show what would be created, the memory it takes and what it would cost; touches nothing, and needs no account
  apply     create it: bucket, pack, stages, engine, and last the gateway, which switches to them. Started again, it goes on where it was
  status    show what serves, and what else is there
  rollback  switch the gateway back to the version before
  destroy   remove the gateway, engines and stages; bucket and packs stay
  probe     measure on the account what nobody knows before: see npm run deploy -- probe --help

  --config FILE              another file than nearside.toml
plan:
  --requests-per-month N     load to reckon with (default 100000)
  --prompt T, --answer T     tokens of a request and of its answer (default 32 and 16)
  --prefill R, --decode R    tokens per second, as npm run bench -- edge measures them (default: a guess by the model's size)
apply:
  --prune                    afterwards remove engines and stages of other versions; there is no rollback then
  --secrets                  store secrets that are there already, too
destroy:
  --yes                      do not ask

It needs npx wrangler login or CLOUDFLARE_API_TOKEN, and values of secrets in the environment (NEARSIDE_API_KEYS: the SHA-256 digests of the API keys). The pack is
uploaded with CLOUDFLARE_API_TOKEN, or R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY. What was deployed is kept in .nearside/deploy: rollback needs it.`;

const COMMANDS = ['plan', 'apply', 'status', 'rollback', 'destroy'];

/** A Ctrl-C lets the running upload end, a second one does not. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort();
      console.error(
        'Stopping after this step; once more stops at once. What serves stays as it is, and the same command goes on where it was.',
      );
    });
  return controller.signal;
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new DeployError('There is no terminal to ask on: give --yes.');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new DeployError(`--${name} must be a number over 0, and "${text}" is not.`);
}

async function main(): Promise<void> {
  const [command, ...args] = process.argv.slice(2);
  if (command === 'probe') return (await import('./deploy/probe/run.ts')).probe(args, interruption());
  if (command === undefined || args.includes('--help') || /^(-h|--help|help)$/.test(command)) return console.log(HELP);
  if (!COMMANDS.includes(command))
    throw new DeployError(`There is no command "${command}"; the commands are ${COMMANDS.join(', ')} and probe.`);
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const load = { 'requests-per-month': text, prompt: text, answer: text, prefill: text, decode: text };
  const options = {
    config: text,
    ...(command === 'plan' && load),
    ...(command === 'apply' && { prune: flag, secrets: flag }),
    ...(command === 'destroy' && { yes: flag }),
  };
  const values = parseArgs({ args, options }).values as Record<string, string | boolean | undefined>;
  const number = (name: string) => positive(name, values[name] as string | undefined);
  const file = (values.config as string | undefined) ?? 'nearside.toml';
  const signal = interruption();
  if (command === 'plan')
    return planCommand(file, {
      requestsPerMonth: number('requests-per-month'),
      promptTokens: number('prompt'),
      answerTokens: number('answer'),
      prefill: number('prefill'),
      decode: number('decode'),
    });
  if (command === 'apply') {
    await applyCommand(file, { replaceSecrets: values.secrets === true, signal });
    if (values.prune) await pruneCommand(file);
    return;
  }
  if (command === 'status') return statusCommand(file);
  if (command === 'rollback') return rollbackCommand(file);
  return destroyCommand(file, values.yes ? async () => true : confirm);
}

try {
  await main();
} catch (error) {
  if (isOptionError(error)) console.error(`${firstSentence(error)}; see --help.`);
  else if (error instanceof Error && /^(DeployError|ModelError|HttpError|TransferError)$/.test(error.name)) console.error(error.message);
  else console.error(error);
  process.exitCode = 1;
}
