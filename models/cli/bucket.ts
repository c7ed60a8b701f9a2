import { fileURLToPath } from 'node:url';
import { ModelError } from '../model-error.ts';
import type { Bucket } from '../r2/bucket.ts';
import { openLocalBucket } from '../r2/local-bucket.ts';
import { openS3Bucket } from '../r2/s3-bucket.ts';
import type { S3Options } from '../r2/s3-request.ts';

/** Where `npm run dev` keeps its state. */
const STATE = fileURLToPath(new URL('../../.wrangler/state', import.meta.url));

/** Options of every command that works on a bucket. */
export const bucketOptions = {
  bucket: { type: 'string' },
  local: { type: 'boolean' },
  remote: { type: 'boolean' },
  'persist-to': { type: 'string' },
} as const;

export const BUCKET_HELP = `  --bucket NAME      the R2 bucket; the engine's is nearside-models (worker/edge/wrangler.toml)
  --local            the bucket that npm run dev serves on this machine (default)
  --persist-to DIR   where wrangler dev keeps local buckets (default: .wrangler/state)
  --remote           the bucket on Cloudflare, by R2's S3 interface. It needs
    R2_ACCOUNT_ID          the account, from the dashboard (or R2_ENDPOINT, for a bucket with a jurisdiction)
    R2_ACCESS_KEY_ID       and
    R2_SECRET_ACCESS_KEY   an R2 API token with read and write access to the bucket`;

interface Values {
  bucket?: string;
  local?: boolean;
  remote?: boolean;
  'persist-to'?: string;
}

/** Runs `work` with the bucket that a command's options name. @param onRetry told before a failed request is tried again */
export async function withBucket<T>(values: Values, work: (bucket: Bucket) => Promise<T>, onRetry?: (reason: string) => void): Promise<T> {
  const { bucket: name, local, remote, 'persist-to': state = STATE } = values;
  if (!name || !/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)) {
    throw new ModelError(`--bucket must be the name of an R2 bucket, and "${name ?? ''}" is not; see --help.`);
  }
  if (local && remote) throw new ModelError('Choose --local or --remote.');
  const bucket = remote ? openS3Bucket(s3Options(name, onRetry)) : await openLocalBucket(name, state);
  try {
    return await work(bucket);
  } finally {
    await bucket.close();
  }
}

function s3Options(bucket: string, onRetry?: (reason: string) => void): S3Options {
  const { R2_ACCOUNT_ID, CLOUDFLARE_ACCOUNT_ID, R2_ENDPOINT, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY } = process.env;
  const account = R2_ACCOUNT_ID || CLOUDFLARE_ACCOUNT_ID;
  const endpoint = R2_ENDPOINT || (account && `https://${account}.r2.cloudflarestorage.com`);
  if (!endpoint) throw new ModelError('--remote needs R2_ACCOUNT_ID, the id of the Cloudflare account.');
  if (!R2_ACCESS_KEY_ID || !R2_SECRET_ACCESS_KEY) {
    throw new ModelError('--remote needs R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY, an R2 API token from the Cloudflare dashboard.');
  }
  return { endpoint, bucket, accessKeyId: R2_ACCESS_KEY_ID, secretAccessKey: R2_SECRET_ACCESS_KEY, retry: { onRetry } };
}
