import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { makeTinyPack } from '../support/tiny-pack.ts';

/** Tests get the files of a tiny pack as base64, because nothing in workerd can make one. */
export default async function setup({ provide }: TestProject): Promise<void> {
  const { folder, remove } = await makeTinyPack();
  try {
    const names = await readdir(folder);
    const files = await Promise.all(names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')] as const));
    provide('edgePack' as never, Object.fromEntries(files) as never);
  } finally {
    await remove();
  }
}
