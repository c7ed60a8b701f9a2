import { createHash } from 'node:crypto';
import type { PackFile } from './manifest.ts';
import type { Pack } from './reader.ts';

/**
 * Reads every file of an opened pack (whose manifest is therefore consistent) and compares size, checksum and SHA-256.
 * Answers what is wrong, one sentence each; empty when the pack is sound.
 */
export async function verifyPack(pack: Pack, onProgress?: (done: number, total: number) => void): Promise<string[]> {
  const { files, tokenizer } = pack.manifest;
  const all: PackFile[] = tokenizer ? [...files, tokenizer] : files;
  const total = all.reduce((sum, file) => sum + file.bytes, 0);
  const problems: string[] = [];
  let done = 0;
  for (const file of all) {
    try {
      const bytes = await pack.file(file);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      if (sha256 !== file.sha256) problems.push(`${file.name} is damaged: its SHA-256 does not match the manifest.`);
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
    done += file.bytes;
    onProgress?.(done, total);
  }
  return problems;
}
