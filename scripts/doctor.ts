import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { firstSentence } from '../models/cli/option-errors.ts';
import { totalBytes } from '../wasm/engine/pipeline/plan.ts';
import { openCloudflare } from './deploy/cloudflare-account.ts';
import { loadDeployment, loadSettings } from './deploy/load.ts';
import type { Settings } from './deploy/settings.ts';
import { runWrangler } from './deploy/wrangler.ts';
import {
  checkAccount,
  checkClock,
  checkMemory,
  checkNode,
  checkOrigin,
  checkPack,
  checkSecrets,
  checkWrangler,
  describeFindings,
  type Finding,
} from './doctor/checks.ts';
import { asError, askOrigin, clockSkewMs, originsOf, quickVerify } from './doctor/look.ts';

const HELP = `npm run doctor [-- --config FILE]

Looks at everything a deployment needs: Node, wrangler, nearside.toml, the pack, its memory plan, the account, secrets, origins and the clock. Prints a line for
each, and what to do. Changes nothing; without a network or an account it warns. Ends with 1 when something fails.

  --config FILE   another file than nearside.toml`;

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');
const CLOUDFLARE = 'https://api.cloudflare.com/';

async function checkTools(): Promise<Finding[]> {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { devDependencies: Record<string, string> };
  const { code, output } = await runWrangler(ROOT, ['--version']).catch(() => ({ code: 1, output: '' }));
  return [checkNode(process.version, devDependencies.node!), checkWrangler(code === 0 ? output : null, devDependencies.wrangler!)];
}

/** Pack and memory, from the plan that apply would carry out. */
async function checkDeployment(file: string): Promise<Finding[]> {
  try {
    const { deployment, manifest, pack } = await loadDeployment(ROOT, file);
    const stages = deployment.memory.stages.map(totalBytes);
    return [
      checkPack(manifest.name, deployment.packBytes, await quickVerify(pack, manifest)),
      checkMemory(stages, deployment.budgetBytes),
      { what: 'version', state: 'ok', says: `${deployment.version}, ${deployment.placement}` },
    ];
  } catch (error) {
    return [{ what: 'plan', state: 'fail', says: asError(error).message }];
  }
}

async function checkCloudflare(settings: Settings | null): Promise<Finding[]> {
  const account = openCloudflare({ root: ROOT, env: process.env, accountId: settings?.account ?? null });
  const who = await account.whoami().catch(asError);
  if (!settings) return [checkAccount(who)];
  const stored = who instanceof Error ? null : await account.listSecrets(settings.name).catch(() => null);
  return [checkAccount(who), ...checkSecrets(settings.secrets, stored, (name) => process.env[name])];
}

async function checkOrigins({ origins }: Settings): Promise<Finding[]> {
  return Promise.all(
    originsOf(origins, (name) => process.env[name]).map(async (origin): Promise<Finding> => {
      if (origin.binding)
        return {
          what: `origin ${origin.name}`,
          state: 'warn',
          says: `It is reached through ${origin.binding}, and so by the gateway only.`,
        };
      return checkOrigin(origin.name, origin.model, await askOrigin(origin), origin.key !== null);
    }),
  );
}

/** The settings, or what is wrong with them. */
function readSettings(file: string): { settings: Settings | null; finding: Finding } {
  if (!existsSync(isAbsolute(file) ? file : join(ROOT, file))) {
    const says = `There is no ${file}: copy deploy/cloudflare/nearside.example.toml to deploy to Cloudflare.`;
    return { settings: null, finding: { what: 'settings', state: 'warn', says } };
  }
  try {
    return { settings: loadSettings(ROOT, file), finding: { what: 'settings', state: 'ok', says: file } };
  } catch (error) {
    return { settings: null, finding: { what: 'settings', state: 'fail', says: asError(error).message } };
  }
}

/** Everything at once: most of it is waiting for others. */
async function diagnose(file: string): Promise<Finding[]> {
  const { settings, finding } = readSettings(file);
  const groups = await Promise.all([
    checkTools(),
    [finding],
    settings ? checkDeployment(file) : [],
    checkCloudflare(settings),
    settings ? checkOrigins(settings) : [],
    clockSkewMs(process.env.CLOUDFLARE_API_BASE_URL || CLOUDFLARE).then((skew) => [checkClock(skew)]),
  ]);
  return groups.flat();
}

try {
  const { values } = parseArgs({
    options: { config: { type: 'string', default: 'nearside.toml' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) console.log(HELP);
  else {
    const findings = await diagnose(values.config);
    for (const line of describeFindings(findings)) console.log(line);
    process.exitCode = findings.some(({ state }) => state === 'fail') ? 1 : 0;
  }
} catch (error) {
  console.error(`${firstSentence(error)}; see npm run doctor -- --help.`);
  process.exitCode = 1;
}
