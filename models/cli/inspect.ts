import { parseArgs } from 'node:util';
import type { Calibration } from '../capability/calibration.ts';
import { FolderStorage } from '../pack/folder-storage.ts';
import type { Manifest } from '../pack/manifest.ts';
import { openPack } from '../pack/reader.ts';
import { type Command, positionals } from './command.ts';
import { megabytes } from './progress.ts';

export const inspect: Command = {
  summary: 'Show what a pack holds',
  help: `npm run -s models -- inspect PACK [--tensors]

Shows the model, its configuration and the pack's files.

  --tensors   list every tensor with its type, shape and files too`,

  async run(args) {
    const { values, positionals: given } = parseArgs({ args, options: { tensors: { type: 'boolean' } }, allowPositionals: true });
    const { PACK } = positionals(given, 'PACK');
    const { manifest } = await openPack(new FolderStorage(PACK));
    for (const [label, value] of summary(manifest)) console.log(`${`${label}:`.padEnd(18)}${value}`);
    if (values.tensors) for (const line of tensorLines(manifest)) console.log(line);
  },
};

function summary({ config, ...manifest }: Manifest): [string, string][] {
  const { sampling } = manifest;
  const count = (type: string) => config.layerTypes.filter((layer) => layer === type).length;
  const parameters = Object.values(manifest.tensors).reduce(
    (sum, tensor) => sum + tensor.shape.reduce((product, size) => product * size, 1),
    0,
  );
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    ['name', manifest.name + (manifest.fixture ? ' (fixture: random weights)' : '')],
    ['source', manifest.source],
    [
      'architecture',
      `${config.architecture}, ${config.layerTypes.length} layers (${count('full_attention')} full, ${count('linear_attention')} linear attention)`,
    ],
    ['parameters', parameters.toLocaleString('en')],
    ['weights', `${manifest.quantization}, ${megabytes(bytes)} MB in ${manifest.files.length} files`],
    ['hidden size', `${config.hiddenSize}, ${config.intermediateSize} in the MLP`],
    ['attention', `${config.numHeads} heads, ${config.numKvHeads} key/value heads of ${config.headDim}, RoPE over ${config.rotaryDim}`],
    ['vocabulary', `${manifest.tokenCount} tokens in ${config.vocabSize} rows, head ${config.tiedHead ? 'tied' : 'of its own'}`],
    ['context', `${config.contextLength} tokens`],
    ['ends with', manifest.eosIds.join(', ') || 'nothing'],
    ['tokenizer', manifest.tokenizer ? `${megabytes(manifest.tokenizer.bytes)} MB` : 'none'],
    ['chat template', manifest.chatTemplate === null ? 'none' : `${manifest.chatTemplate.length} characters`],
    ['thinks', manifest.thinkingDefault === null ? 'cannot' : manifest.thinkingDefault ? 'by default' : 'when asked'],
    [
      'sampling',
      `temperature ${sampling.temperature}, top_p ${sampling.topP}, top_k ${sampling.topK}, presence penalty ${sampling.presencePenalty}`,
    ],
    ['calibration', calibrationLine(manifest.calibration)],
  ];
}

function calibrationLine(calibration: Calibration | undefined): string {
  if (!calibration?.evidence) return 'none: the router assumes what it assumes of any model of this size';
  const { evidence, gate } = calibration;
  const passes = gate
    ? `; gate lets ${(100 * gate.accepted).toFixed(0)} % pass, ${(100 * gate.precision).toFixed(0)} % of them good`
    : '; no gate';
  return `${evidence.rows} labels, AUC ${evidence.auc.value.toFixed(3)}${passes}`;
}

function tensorLines({ files, tensors }: Manifest): string[] {
  return Object.entries(tensors).map(([name, { type, shape, parts }]) => {
    const places = parts.map((part) => `${files[part.file]!.name}+${part.offset}`);
    return `${name.padEnd(28)} ${type.padEnd(5)} ${shape.join(' x ').padEnd(16)} ${places.join(' ')}`;
  });
}
