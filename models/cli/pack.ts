import { parseArgs } from 'node:util';
import { ModelError } from '../model-error.ts';
import { WEIGHT_TYPES, type WeightType } from '../pack/manifest.ts';
import { packModel } from '../pack/pack-model.ts';
import { calibrationOption } from './calibration.ts';
import { type Command, positionals } from './command.ts';
import { megabytes, progressReporter } from './progress.ts';

const isWeightType = (text: string): text is WeightType => (WEIGHT_TYPES as readonly string[]).includes(text);

export const pack: Command = {
  summary: 'Convert a model into a pack, the format that the edge engine loads',
  help: `npm run -s models -- pack SOURCE OUT [--quant q4_0|q8_0|f32] [--calibrate FILE|none] [--name NAME] [--fixture]

SOURCE is a folder in Hugging Face layout (config.json, safetensors, tokenizer.json) or a GGUF file, of the architectures qwen3_5 or llama.
OUT is the folder to create.

  --quant TYPE   weights of the pack: q4_0 (default), q8_0 or f32
  --calibrate FILE
                 text that the model reads to find out which weights matter most to q4_0 (default: some of everything);
                 none rounds all weights alike, which takes a third of the time
  --name NAME    name that clients ask for (default: the folder's or file's name)
  --fixture      mark the weights as random, so that nobody takes the answers for a model's`,

  async run(args) {
    const options = {
      quant: { type: 'string', default: 'q4_0' },
      name: { type: 'string' },
      calibrate: { type: 'string' },
      fixture: { type: 'boolean' },
    } as const;
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const { SOURCE, OUT } = positionals(given, 'SOURCE', 'OUT');
    if (!isWeightType(values.quant))
      throw new ModelError(`--quant must be one of ${WEIGHT_TYPES.join(', ')}, and "${values.quant}" is not.`);
    const interrupted = new AbortController();
    process.once('SIGINT', () => interrupted.abort(new ModelError('Interrupted; what was written has been removed.')));
    const { signal } = interrupted;
    const { manifest, warnings } = await packModel(SOURCE, OUT, {
      quantization: values.quant,
      name: values.name,
      fixture: values.fixture,
      calibration: await calibrationOption(values.calibrate, signal),
      onProgress: progressReporter('Packing'),
      signal,
    });
    for (const warning of warnings) process.stderr.write(`Warning: ${warning}\n`);
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, manifest.tokenizer?.bytes ?? 0);
    console.log(`${OUT}: ${manifest.name}, ${manifest.quantization}, ${megabytes(bytes)} MB in ${manifest.files.length} files.`);
  },
};
