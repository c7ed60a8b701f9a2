import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_ENDPOINT } from '../hub/hub.ts';
import { ModelError } from '../model-error.ts';
import { type Manifest, WEIGHT_TYPES, type WeightType } from '../pack/manifest.ts';
import { pullModel } from '../pull/pull-model.ts';
import { pullPack } from '../pull/pull-pack.ts';
import { calibrationOption } from './calibration.ts';
import { type Command, numberOption } from './command.ts';
import { megabytes, progressReporter } from './progress.ts';
import { transferReporter } from './transfer-progress.ts';

const CHUNK_BYTES = 8 << 20;

const options = {
  revision: { type: 'string', default: 'main' },
  quant: { type: 'string' },
  file: { type: 'string' },
  calibrate: { type: 'string' },
  keep: { type: 'boolean', default: false },
  connections: { type: 'string' },
} as const;

export const pull: Command = {
  summary: 'Download a model and pack it as it arrives, or download a finished pack',
  help: `npm run -s models -- pull OWNER/NAME [OUT] [--revision R] [--quant q4_0|q8_0|f32] [--calibrate FILE|none] [--keep] [--connections N]
npm run -s models -- pull OWNER/NAME [OUT] --file NAME.gguf [...]
npm run -s models -- pull https://HOST/PATH/TO/PACK [OUT]

Downloads a model from Hugging Face, or a hub that speaks its protocol, and packs it while it arrives: without --keep the full-precision weights are never whole on disk.
With --file the model is one GGUF file of the repository. With an https address, a finished pack is downloaded.
OUT is the folder to create (default: packs/NAME-QUANT).

  --revision R      branch, tag or commit (default: main)
  --quant TYPE      weights of the pack: q4_0 (default), q8_0 or f32
  --calibrate FILE  text that the model reads to find out which weights matter most to q4_0 (default: some of everything); the weights are then
                    in q8_0 on the disk until the end. none rounds all weights alike, as they arrive
  --file PATH       pack this GGUF file of the repository
  --keep            keep the downloaded files in OUT.source, to pack them again otherwise
  --connections N   parts fetched at a time (default: 4)

  HF_ENDPOINT       the hub (default: ${DEFAULT_ENDPOINT})
  HF_TOKEN          a token that may read the model, for gated and private ones
  HTTPS_PROXY       a proxy, used when NODE_USE_ENV_PROXY=1 is set too

Killed or cut off, the same command goes on where it was; until it ends, everything is in OUT.partial. Of a repository only what a pack needs is fetched: whole
files, each checked against its published hash. Weight files that hold nothing of the text model are left out; parts of a file are not, because then
its hash could not be checked.`,

  async run(args) {
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const [what, target, ...rest] = given;
    if (what === undefined || rest.length > 0) {
      throw new ModelError(`Expected OWNER/NAME or an address, and perhaps OUT, and got ${given.length} arguments; see --help.`);
    }
    const connections = numberOption('connections', values.connections, 4, { min: 1, integer: true });
    const reporter = transferReporter('Downloading');
    const onRetry = (reason: string, waitMs: number) => reporter.say(`${reason} Trying again in ${(waitMs / 1000).toFixed(1)} s.`);
    const interrupted = new AbortController();
    process.once('SIGINT', () => interrupted.abort(new ModelError('Interrupted; the same command goes on from here.')));
    const shared = { connections, onProgress: reporter.onProgress, onResume: reporter.onResume, signal: interrupted.signal };

    if (/^https?:\/\//.test(what)) {
      for (const name of ['quant', 'file', 'calibrate'] as const)
        if (values[name]) throw new ModelError(`--${name} has no meaning for a finished pack.`);
      const out = target ?? defaultFolder(lastSegment(what));
      await mkdir(dirname(out), { recursive: true });
      report(out, await pullPack(what, out, { ...shared, retry: { onRetry } }));
      return;
    }
    if (!/^[\w.-]+\/[\w.-]+$/.test(what)) throw new ModelError(`"${what}" is neither OWNER/NAME nor an https address; see --help.`);
    const quantization = weightType(values.quant ?? 'q4_0');
    const out = target ?? defaultFolder(`${lastSegment(values.file ?? what).replace(/\.gguf$/i, '')}-${quantization}`);
    await mkdir(dirname(out), { recursive: true });
    const hub = { endpoint: process.env.HF_ENDPOINT || undefined, token: process.env.HF_TOKEN || null, retry: { onRetry } };
    const { revision, file, keep } = values;
    const { manifest, warnings } = await pullModel(what, out, {
      ...shared,
      hub,
      revision,
      file,
      keep,
      quantization,
      calibration: await calibrationOption(values.calibrate, interrupted.signal),
      onPacked: progressReporter('Packing'),
      chunkBytes: CHUNK_BYTES,
    });
    for (const warning of warnings) process.stderr.write(`Warning: ${warning}\n`);
    report(out, manifest);
  },
};

const defaultFolder = (name: string): string => `packs/${name}`;

const lastSegment = (path: string): string =>
  path
    .replace(/\/(manifest\.json)?$/, '')
    .split('/')
    .at(-1)!;

function weightType(text: string): WeightType {
  const found = WEIGHT_TYPES.find((type) => type === text);
  if (!found) throw new ModelError(`--quant must be one of ${WEIGHT_TYPES.join(', ')}, and "${text}" is not.`);
  return found;
}

function report(out: string, { name, quantization, files, tokenizer }: Manifest): void {
  const bytes = files.reduce((sum, file) => sum + file.bytes, tokenizer?.bytes ?? 0);
  console.log(
    `${out}: ${name}, ${quantization}, ${megabytes(bytes)} MB in ${files.length} files. Serve it with: npm run dev -- --model ${out}`,
  );
}
