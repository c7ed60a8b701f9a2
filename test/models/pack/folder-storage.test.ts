import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FolderStorage } from '../../../models/pack/folder-storage.ts';
import { behavesAsPackStorage } from '../../support/pack-storage.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const root = temporaryFolder();
let count = 0;

behavesAsPackStorage('FolderStorage', async (files) => {
  const folder = join(root, `${count++}`);
  mkdirSync(folder);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return new FolderStorage(folder);
});
