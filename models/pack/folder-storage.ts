import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError } from '../model-error.ts';
import type { PackStorage } from './storage.ts';

/** A pack in a folder of the file system (Node). */
export class FolderStorage implements PackStorage {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  async manifest(): Promise<string> {
    return readFile(join(this.folder, 'manifest.json'), 'utf8').catch((cause) => {
      throw new ModelError(`${this.folder} is not a pack: it has no manifest.json.`, { cause });
    });
  }

  async read(name: string, into: Uint8Array): Promise<void> {
    const file = await open(join(this.folder, name), 'r').catch((cause) => {
      throw new ModelError(`${name} is missing from the pack.`, { cause });
    });
    try {
      const { size } = await file.stat();
      if (size !== into.length) throw new ModelError(`${name} has ${size} bytes, and ${into.length} were expected.`);
      let done = 0;
      while (done < size) {
        const { bytesRead } = await file.read(into, done, size - done, done);
        if (bytesRead === 0) throw new ModelError(`${name} became shorter while it was read.`);
        done += bytesRead;
      }
    } finally {
      await file.close();
    }
  }
}
