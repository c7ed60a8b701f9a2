import { parseArgs } from 'node:util';
import { removePack } from '../r2/packs.ts';
import { BUCKET_HELP, bucketOptions, withBucket } from './bucket.ts';
import { type Command, positionals } from './command.ts';
import { megabytes } from './progress.ts';

export const rm: Command = {
  summary: 'Remove a pack from an R2 bucket',
  help: `npm run -s models -- rm PREFIX --bucket NAME [--local|--remote]

Removes the pack at PREFIX, finished or not, its manifest first. Engines that have loaded it go on; no engine can load it any more.

${BUCKET_HELP}`,

  async run(args) {
    const { values, positionals: given } = parseArgs({ args, options: bucketOptions, allowPositionals: true });
    const { PREFIX } = positionals(given, 'PREFIX');
    const { files, bytes } = await withBucket(values, (bucket) => removePack(bucket, PREFIX));
    console.log(`Removed ${PREFIX}: ${files} objects, ${megabytes(bytes)} MB.`);
  },
};
