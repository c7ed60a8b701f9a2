import { parseArgs } from 'node:util';
import { listPacks, type PackInBucket } from '../r2/packs.ts';
import { BUCKET_HELP, bucketOptions, withBucket } from './bucket.ts';
import { type Command, positionals } from './command.ts';
import { megabytes } from './progress.ts';

export const list: Command = {
  summary: 'List the packs in an R2 bucket',
  help: `npm run -s models -- list --bucket NAME [--local|--remote]

One line per pack: its prefix, model, type and size, and what is wrong with it, if anything.

${BUCKET_HELP}`,

  async run(args) {
    const { values, positionals: given } = parseArgs({ args, options: bucketOptions, allowPositionals: true });
    positionals(given);
    const { packs, label } = await withBucket(values, async (bucket) => ({ packs: await listPacks(bucket), label: bucket.label }));
    if (packs.length === 0) console.log(`${label} holds no packs.`);
    for (const pack of packs) console.log(line(pack));
  },
};

function line({ prefix, bytes, manifest, problem }: PackInBucket): string {
  const what = manifest ? `${manifest.name}, ${manifest.quantization}, ` : '';
  return `${prefix}  ${what}${megabytes(bytes)} MB${problem ? `, ${problem}` : ''}`;
}
