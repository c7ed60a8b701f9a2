import { DeployError } from '../deploy/deploy-error.ts';

/** Told in one line: what was looked at, how it is, and what to do where it is not well. */
export interface Finding {
  what: string;
  state: 'ok' | 'warn' | 'fail';
  says: string;
}

const finding = (what: string, state: Finding['state'], says: string): Finding => ({ what, state, says });

/** Scripts run TypeScript, which the Node that npm ci installs does. @param wanted its version, of package.json */
export function checkNode(running: string, wanted: string): Finding {
  const [major] = running.replace(/^v/, '').split('.').map(Number);
  const [wantedMajor] = wanted.split('.').map(Number);
  if (major! >= wantedMajor!) return finding('node', 'ok', running);
  return finding('node', 'fail', `${running} runs no TypeScript: run npm ci, which brings ${wanted}, and npm run doctor again.`);
}

/** @param output of `wrangler --version`; null when it could not be run */
export function checkWrangler(output: string | null, wanted: string): Finding {
  const version = /\d+\.\d+\.\d+/.exec(output ?? '')?.[0];
  if (!version) return finding('wrangler', 'fail', 'It does not start: run npm ci.');
  if (version !== wanted) return finding('wrangler', 'warn', `${version} is here, and ${wanted} is what this was tested with: run npm ci.`);
  return finding('wrangler', 'ok', version);
}

/** Offline, and without a login, there is no account to look at: everything else still works. */
export function checkAccount(account: { id: string; name: string } | Error): Finding {
  if (!(account instanceof Error)) return finding('account', 'ok', `${account.name} (${account.id})`);
  const unreachable = account instanceof DeployError && /no Cloudflare login|cannot be reached/.test(account.message);
  return finding('account', unreachable ? 'warn' : 'fail', account.message);
}

/** @param stored with the gateway; null when there is no account to ask. @param given at hand for the next apply */
export function checkSecrets(wanted: string[], stored: string[] | null, given: (name: string) => string | undefined): Finding[] {
  return wanted.map((name) => {
    const what = `secret ${name}`;
    const value = given(name);
    if (value && name === 'NEARSIDE_API_KEYS' && !/^\s*[0-9a-f]{64}([\s,]+[0-9a-f]{64})*\s*$/i.test(value))
      return finding(what, 'fail', 'It must be SHA-256 digests, 64 hex digits each: printf %s "$KEY" | sha256sum');
    if (stored?.includes(name)) return finding(what, 'ok', 'stored with the gateway');
    if (value) return finding(what, 'ok', 'in the environment: apply stores it');
    if (stored === null)
      return finding(what, 'warn', 'It is not in the environment, and without an account nobody can tell whether it is stored.');
    return finding(what, 'fail', 'It is missing: set it in the environment and run npm run deploy -- apply.');
  });
}

/** @param problems of `quickVerify` */
export function checkPack(name: string, bytes: number, problems: string[]): Finding {
  if (problems.length > 0) return finding('pack', 'fail', `${problems[0]} Pull or pack it again.`);
  return finding('pack', 'ok', `${name}, ${(bytes / 1e6).toFixed(1)} MB; npm run -s models -- verify PACK checks every byte`);
}

/** @param stages bytes of each */
export function checkMemory(stages: number[], budgetBytes: number): Finding {
  const largest = Math.max(...stages);
  const says = `${stages.length} isolate${stages.length > 1 ? 's' : ''} of at most ${(largest / 1e6).toFixed(1)} MB, of ${(budgetBytes / 1e6).toFixed(0)} MB each`;
  if (largest > budgetBytes) return finding('memory', 'fail', `${says}: fewer sessions or a shorter context need less.`);
  // What the runtime counts beside what the plan does: measured at a few megabytes.
  if (budgetBytes > 110e6 && budgetBytes <= 128e6)
    return finding('memory', 'warn', `${says}: over 110 MB leaves too little below Cloudflare's 128.`);
  return finding('memory', 'ok', says);
}

/**
 * An origin that was asked for its models.
 * @param answer its status and the models' ids; an Error when it could not be reached
 */
export function checkOrigin(name: string, model: string, answer: { status: number; models: string[] } | Error, hasKey: boolean): Finding {
  const what = `origin ${name}`;
  if (answer instanceof Error)
    return finding(what, 'warn', `It cannot be reached from here (${answer.message}): start it, or check its address and firewall.`);
  const { status, models } = answer;
  if (status === 401 || status === 403)
    return finding(
      what,
      hasKey ? 'fail' : 'warn',
      hasKey ? `It refuses the key (${status}): set the right one.` : `It wants a key (${status}), which is not in the environment here.`,
    );
  if (status === 404)
    return finding(what, 'warn', 'It has no /v1/models (404), so its model cannot be checked: see that the URL ends in /v1.');
  if (status !== 200) return finding(what, 'warn', `It answered ${status} to /v1/models: look at its log.`);
  if (models.length > 0 && !models.includes(model))
    return finding(
      what,
      'fail',
      `It does not serve ${model} but ${models.slice(0, 3).join(', ')}: set the endpoint's model to one of these.`,
    );
  return finding(what, 'ok', `serves ${model}`);
}

/** Signed requests are refused when this clock is wrong by 15 minutes. @param skewMs null when nobody could be asked */
export function checkClock(skewMs: number | null): Finding {
  if (skewMs === null) return finding('clock', 'warn', 'Nobody could be asked for the time.');
  const seconds = Math.abs(Math.round(skewMs / 1000));
  if (seconds < 60) return finding('clock', 'ok', `${seconds} s off at most`);
  return finding(
    'clock',
    seconds > 600 ? 'fail' : 'warn',
    `This machine's clock is ${seconds} s ${skewMs > 0 ? 'ahead' : 'behind'}: switch on its time synchronisation, or uploads to R2 are refused.`,
  );
}

/** Lines to print. */
export function describeFindings(findings: Finding[]): string[] {
  const width = Math.max(...findings.map(({ what }) => what.length));
  return findings.map(({ what, state, says }) => `${state.padEnd(4)}  ${what.padEnd(width)}  ${says}`);
}
