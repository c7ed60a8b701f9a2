import { parseArgs } from 'node:util';
import { ModelError } from '../model-error.ts';
import { FolderStorage } from '../pack/folder-storage.ts';
import { openPack } from '../pack/reader.ts';
import { verifyPack } from '../pack/verify.ts';
import { type Command, positionals } from './command.ts';
import { megabytes, progressReporter } from './progress.ts';

export const verify: Command = {
  summary: 'Check a pack: manifest, sizes, checksums and SHA-256 of every file',
  help: `npm run -s models -- verify PACK

Exit code 0 when the pack is sound; otherwise 1, with one line on stderr for everything that is wrong.`,

  async run(args) {
    const { PACK } = positionals(parseArgs({ args, allowPositionals: true }).positionals, 'PACK');
    const opened = await openPack(new FolderStorage(PACK));
    const problems = await verifyPack(opened, progressReporter('Verifying'));
    if (problems.length > 0) throw new ModelError(problems.join('\n'));
    const bytes = opened.manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    console.log(`${PACK} is sound: ${opened.manifest.files.length} weight files, ${megabytes(bytes)} MB.`);
  },
};
