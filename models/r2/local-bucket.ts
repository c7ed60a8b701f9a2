import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bucket, StoredObject } from './bucket.ts';

/** What is used of R2's binding; the Worker types are not for Node. */
interface Binding {
  head(key: string): Promise<{ size: number; customMetadata?: Record<string, string> } | null>;
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
  put(key: string, value: Uint8Array, options: { sha256: string; customMetadata: Record<string, string> }): Promise<unknown>;
  list(options: {
    prefix: string;
    cursor?: string;
  }): Promise<{ objects: { key: string; size: number }[]; truncated: boolean; cursor?: string }>;
  delete(keys: string[]): Promise<void>;
}

/**
 * The bucket `name` as `wrangler dev` has it on this machine. @param statePath wrangler's persistence folder (`--persist-to`). Close it: a small server runs for it.
 */
export async function openLocalBucket(name: string, statePath: string): Promise<Bucket> {
  // It takes a second to load, which no other command should have to wait for.
  const { getPlatformProxy } = await import('wrangler');
  const folder = await mkdtemp(join(tmpdir(), 'nearside-bucket-'));
  const configPath = join(folder, 'wrangler.json');
  const r2_buckets = [{ binding: 'BUCKET', bucket_name: name }];
  await writeFile(configPath, JSON.stringify({ name: 'bucket', compatibility_date: '2026-11-01', r2_buckets }));
  const proxy = await getPlatformProxy<{ BUCKET: Binding }>({ configPath, persist: { path: join(statePath, 'v3') }, envFiles: [] });
  const binding = proxy.env.BUCKET;
  return {
    label: `${name} (local)`,
    async head(key) {
      const found = await whenFree(() => binding.head(key));
      return found && { bytes: found.size, sha256: found.customMetadata?.sha256 ?? null };
    },
    async get(key) {
      const found = await whenFree(() => binding.get(key));
      return found && new Uint8Array(await found.arrayBuffer());
    },
    async put(key, content, sha256) {
      await whenFree(() => binding.put(key, content, { sha256, customMetadata: { sha256 } }));
    },
    list: (prefix) => listAll(binding, prefix),
    delete: (keys) => whenFree(() => binding.delete(keys)),
    // Here an upload is one call.
    async abortUploads() {},
    async close() {
      await proxy.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function listAll(binding: Binding, prefix: string): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await whenFree(() => binding.list({ prefix, cursor }));
    found.push(...page.objects.map(({ key, size }) => ({ key, bytes: size })));
    if (!page.truncated) return found;
    cursor = page.cursor;
  }
}

/** Tries again for a while: a development server of this checkout may hold the local bucket's database. */
async function whenFree<T>(call: () => Promise<T>, attempts = 20): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (attempts <= 1 || /checksum/i.test(String(error))) throw error;
    await new Promise((resolve) => setTimeout(resolve, 250));
    return whenFree(call, attempts - 1);
  }
}
