import { createHash } from 'node:crypto';
import { ModelError } from '../model-error.ts';
import type { Bucket, StoredObject } from './bucket.ts';
import { type S3Options, s3Request, xmlValues } from './s3-request.ts';

/** Content over two of these goes up in parts, so that a broken connection costs one part and not all. S3 allows no part under 5 MiB but the last. */
const PART_BYTES = 8 << 20;
/** S3 takes so many keys in one listing; deleting is one call each. */
const PARALLEL_DELETES = 8;

/** A bucket on Cloudflare, through R2's S3 interface. */
export function openS3Bucket(options: S3Options): Bucket {
  const { bucket } = options;
  return {
    label: `${bucket} (remote)`,
    async head(key) {
      const { status, headers } = await s3Request(options, { method: 'HEAD', key });
      return status === 404 ? null : { bytes: Number(headers.get('content-length')), sha256: headers.get('x-amz-meta-sha256') };
    },
    async get(key) {
      const { status, bytes } = await s3Request(options, { method: 'GET', key });
      return status === 404 ? null : bytes;
    },
    async put(key, content, sha256) {
      // R2 checks each request's own hash, and of content in parts nothing else.
      if (createHash('sha256').update(content).digest('hex') !== sha256)
        throw new ModelError(`${key}: the content does not have the SHA-256 ${sha256}.`);
      const headers = { 'x-amz-meta-sha256': sha256, 'content-type': 'application/octet-stream' };
      if (content.length > 2 * PART_BYTES) await putInParts(options, key, content, headers);
      else found(await s3Request(options, { method: 'PUT', key, headers, body: content }), options);
    },
    list: (prefix) => listAll(options, prefix),
    async delete(keys) {
      const rest = [...keys];
      const work = async () => {
        for (let key = rest.shift(); key !== undefined; key = rest.shift()) await s3Request(options, { method: 'DELETE', key });
      };
      await Promise.all(Array.from({ length: PARALLEL_DELETES }, work));
    },
    abortUploads: (prefix) => abortUploads(options, prefix),
    async close() {},
  };
}

/** S3 answers 404 to a write when there is no such bucket. */
function found<T extends { status: number }>(answer: T, { bucket }: S3Options): T {
  if (answer.status === 404) throw new ModelError(`There is no bucket ${bucket}; create it with: npx wrangler r2 bucket create ${bucket}`);
  return answer;
}

/** The object appears when the last call completes it; parts of an upload that was given up are removed. */
async function putInParts(options: S3Options, key: string, content: Uint8Array, headers: Record<string, string>): Promise<void> {
  const started = found(await s3Request(options, { method: 'POST', key, query: { uploads: '' }, headers }), options);
  const [uploadId] = xmlValues(text(started.bytes), 'UploadId');
  if (!uploadId) throw new ModelError(`${key}: R2 started no upload.`);
  try {
    const count = Math.ceil(content.length / PART_BYTES);
    const etags = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const body = content.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
        const { headers } = found(
          await s3Request(options, { method: 'PUT', key, query: { partNumber: String(i + 1), uploadId }, body }),
          options,
        );
        return headers.get('etag') ?? '';
      }),
    );
    const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join('');
    const body = new TextEncoder().encode(`<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`);
    const { bytes } = found(await s3Request(options, { method: 'POST', key, query: { uploadId }, body }), options);
    // Completing may fail after the status 200 has been sent.
    const [code] = text(bytes).includes('<Error>') ? xmlValues(text(bytes), 'Code') : [];
    if (code) throw new ModelError(`${key}: R2 could not put the parts together (${code}); run the same command again.`);
  } catch (error) {
    await s3Request(options, { method: 'DELETE', key, query: { uploadId } }).catch(() => {});
    throw error;
  }
}

async function listAll(options: S3Options, prefix: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  for (let token: string | undefined; ; ) {
    const query: Record<string, string> = { 'list-type': '2', prefix, ...(token ? { 'continuation-token': token } : {}) };
    const xml = text(found(await s3Request(options, { method: 'GET', query }), options).bytes);
    const sizes = xmlValues(xml, 'Size');
    objects.push(...xmlValues(xml, 'Key').map((key, i) => ({ key, bytes: Number(sizes[i]) })));
    [token] = xmlValues(xml, 'NextContinuationToken');
    if (!token) return objects;
  }
}

async function abortUploads(options: S3Options, prefix: string): Promise<void> {
  const { status, bytes } = await s3Request(options, { method: 'GET', query: { uploads: '', prefix } });
  if (status === 404) return;
  const ids = xmlValues(text(bytes), 'UploadId');
  const keys = xmlValues(text(bytes), 'Key');
  for (const [i, key] of keys.entries()) await s3Request(options, { method: 'DELETE', key, query: { uploadId: ids[i]! } });
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
