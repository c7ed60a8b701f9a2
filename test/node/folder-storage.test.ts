import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { behavesAsPackStorage } from '../support/pack-storage.ts';

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

behavesAsPackStorage('FolderStorage', async (files) => {
  const folder = await mkdtemp(join(tmpdir(), 'nearside-pack-'));
  folders.push(folder);
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  return new FolderStorage(folder);
});
