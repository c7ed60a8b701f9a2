import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { HttpError } from '../hub/http-error.ts';
import { DEFAULT_RETRY, type RetryPolicy, withRetries } from '../hub/patience.ts';
import { reasonOf } from '../hub/request.ts';
import { TransferError } from '../hub/transfer-error.ts';
import { ModelError } from '../model-error.ts';

export interface S3Options {
  /** https://ACCOUNT.r2.cloudflarestorage.com */
  endpoint: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  fetch?: typeof fetch;
  retry?: Partial<RetryPolicy>;
}

export interface S3Request {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Empty for the bucket itself. */
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

export interface S3Answer {
  status: number;
  headers: Headers;
  bytes: Uint8Array;
}

/** Longer than 8 MiB take on any line that can be used for this. */
const TIMEOUT_MS = 5 * 60_000;

/**
 * One signed request to an S3 service, tried again where that may help. A body is signed with its SHA-256, so that the service refuses it when it arrives damaged.
 * 404 is an answer; other error statuses throw `ModelError` with the service's own code.
 */
export async function s3Request(options: S3Options, request: S3Request): Promise<S3Answer> {
  const { bucket, key = '', query = {} } = { ...options, ...request };
  const url = new URL(
    `${options.endpoint.replace(/\/+$/, '')}/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`.replace(/\/$/, ''),
  );
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const what = key === '' ? `The bucket ${bucket}` : key;
  return withRetries({ ...DEFAULT_RETRY, ...options.retry }, undefined, async () => {
    const answer = await attempt(what, url, options, request);
    if (answer.status === 404 || (answer.status >= 200 && answer.status < 300)) return answer;
    const error = new HttpError(what, answer);
    throw error.isRetryable ? error : explain(what, answer, options);
  });
}

async function attempt(
  what: string,
  url: URL,
  { accessKeyId, secretAccessKey, fetch = globalThis.fetch }: S3Options,
  request: S3Request,
): Promise<S3Answer> {
  const { method, headers = {}, body } = request;
  const hash = createHash('sha256')
    .update(body ?? '')
    .digest('hex');
  // Region "auto" is R2's: https://developers.cloudflare.com/r2/api/s3/api/
  const signer = new AwsV4Signer({
    ...{ accessKeyId, secretAccessKey, service: 's3', region: 'auto' },
    ...{ url: url.href, method, headers: { ...headers, 'x-amz-content-sha256': hash } },
  });
  const signed = await signer.sign();
  try {
    const response = await fetch(signed.url, {
      method,
      headers: signed.headers,
      body: body as Uint8Array<ArrayBuffer> | undefined,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) };
  } catch (cause) {
    throw new TransferError(`${what}: ${url.host} cannot be reached (${reasonOf(cause)}).`, { cause });
  }
}

function explain(what: string, { status, bytes }: S3Answer, { bucket }: S3Options): ModelError {
  const code = xmlValues(new TextDecoder().decode(bytes), 'Code')[0];
  const told = `${what}: R2 answered ${status}${code ? ` (${code})` : ''}`;
  if (status === 401 || status === 403) {
    return new ModelError(
      `${told}; check R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY, and that the token may write to the bucket ${bucket}.`,
    );
  }
  return new ModelError(`${told}.`);
}

/** The contents of every element `name` that holds text only. S3's answers are flat enough for this. */
export function xmlValues(xml: string, name: string): string[] {
  const entities: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text]) =>
    text!.replace(/&(lt|gt|quot|apos|amp);/g, (_, entity: string) => entities[entity]!),
  );
}
