import { parseArgs } from 'node:util';
import { pushPack } from '../r2/push-pack.ts';
import { BUCKET_HELP, bucketOptions, withBucket } from './bucket.ts';
import { type Command, positionals } from './command.ts';
import { megabytes } from './progress.ts';
import { transferReporter } from './transfer-progress.ts';

/** A file is at most 24 MiB and in memory while it is sent. */
const REMOTE_FILES_AT_A_TIME = 3;

export const push: Command = {
  summary: 'Upload a pack to an R2 bucket, where the engine loads it from',
  help: `npm run -s models -- push PACK --bucket NAME [--prefix P] [--local|--remote]

Uploads the files of PACK that are not there yet, and its manifest last: a pack that is half there is never served. Killed or cut off, the same
command goes on. Every file is checked against its SHA-256 before it is sent, and by R2 when it arrives.

  --prefix P         where in the bucket (default: a name made of the pack's name, type and content)
${BUCKET_HELP}`,

  async run(args) {
    const options = { ...bucketOptions, prefix: { type: 'string' } } as const;
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const { PACK } = positionals(given, 'PACK');
    const reporter = transferReporter('Uploading');
    const connections = values.remote ? REMOTE_FILES_AT_A_TIME : 1;
    const { prefix, sent, label } = await withBucket(
      values,
      async (bucket) => ({
        ...(await pushPack(PACK, bucket, { prefix: values.prefix, connections, onProgress: reporter.onProgress })),
        label: bucket.label,
      }),
      reporter.say,
    );
    console.log(`${label}: ${prefix}, ${sent === 0 ? 'nothing to upload' : `${megabytes(sent)} MB uploaded`}.`);
    console.log(`To serve it, set NEARSIDE_EDGE_PACK = "${prefix}" in worker/edge/wrangler.toml.`);
  },
};
