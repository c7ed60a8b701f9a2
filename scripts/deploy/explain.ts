import { DeployError } from './deploy-error.ts';

/** An error as Cloudflare's API reports it. */
export interface ApiProblem {
  status: number;
  code: number;
  message: string;
}

const TOKEN =
  'Cloudflare does not accept the token. Run npx wrangler login, or set CLOUDFLARE_API_TOKEN to a token that is valid and has not expired.';
const R2 = 'R2 is not enabled for this account: open R2 in the Cloudflare dashboard once and accept its terms.';

/** Causes that are known, by the codes of Cloudflare's API. */
const KNOWN: { codes: number[]; says: (what: string) => string }[] = [
  { codes: [1000, 6003, 6111, 9109, 10001], says: () => TOKEN },
  {
    codes: [10000, 9103],
    says: (what) =>
      `${what}: the token may not do this. It needs "Workers Scripts: Edit" and "Workers R2 Storage: Edit" for this account, and "Zone: Workers Routes: Edit" for a domain.`,
  },
  { codes: [10042, 10136], says: () => R2 },
  {
    codes: [10027],
    says: (what) =>
      `${what}: the Worker is too large for this plan (10 MB compressed on the paid one, 3 MB on the free one); npm run deploy:check prints sizes.`,
  },
  {
    codes: [10037],
    says: (what) =>
      `${what}: the account has as many Workers as it may have. Remove old versions with npm run deploy -- apply --prune, or others by hand.`,
  },
  {
    codes: [10061, 10144],
    says: (what) => `${what}: a Worker it refers to is not there. Run npm run deploy -- apply again: it deploys what is missing.`,
  },
  { codes: [10085], says: (what) => `${what}: its bucket is not there. Run npm run deploy -- apply again: it creates what is missing.` },
  { codes: [10006], says: (what) => `${what}: there is no such bucket. Run npm run deploy -- apply again: it creates what is missing.` },
  {
    codes: [7003, 7000],
    says: (what) =>
      `${what}: there is no such account. Set account in nearside.toml, or CLOUDFLARE_ACCOUNT_ID, to the id in the dashboard.`,
  },
];

/**
 * What a refusal of Cloudflare's API means in plain words, for the problems that a deployment meets; else its own words.
 * @param what was being done: "Deploying nearside-edge-0123"
 */
export function explain(what: string, { status, code, message }: ApiProblem): DeployError {
  const known = KNOWN.find(({ codes }) => codes.includes(code));
  if (known) return new DeployError(known.says(what));
  if (status === 401) return new DeployError(TOKEN);
  if (status === 429 || code === 971)
    return new DeployError(`${what}: Cloudflare takes no more requests for now (429). Wait five minutes and run the same again.`);
  if (status >= 500)
    return new DeployError(`${what}: Cloudflare answered ${status}. Try again later; www.cloudflarestatus.com tells of incidents.`);
  return new DeployError(`${what}: Cloudflare answered ${status}${code ? `, code ${code}` : ''}: ${firstSentence(message)}`);
}

const firstSentence = (text: string): string => (text.split('\n')[0] ?? '').trim() || 'without a reason.';

/** Wrangler colours its errors whatever it is told. */
export const withoutColours = (text: string): string => text.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g'), '');

/** The problem in what wrangler printed when it failed: "... [code: 10027]"; null for none. */
export function problemIn(output: string): ApiProblem | null {
  const plain = withoutColours(output);
  const coded = /^(.*?)\s*\[code: (\d+)\]/m.exec(plain);
  if (coded) return { status: 400, code: Number(coded[2]), message: coded[1]!.replace(/^.*?\[?ERROR\]?\s*/, '') };
  if (/CLOUDFLARE_API_TOKEN|not logged in|wrangler login|not authenticated/i.test(plain)) return { status: 401, code: 0, message: '' };
  const status = /\b(429|5\d\d)\b.*(error|request|response)/i.exec(plain) ?? /status(?: code)?:? (429|5\d\d)/i.exec(plain);
  if (status) return { status: Number(status[1]), code: 0, message: '' };
  return null;
}
