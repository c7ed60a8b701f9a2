import { parseArgs } from 'node:util';
import { ModelError } from '../model-error.ts';
import { FolderStorage } from '../pack/folder-storage.ts';
import { openPack } from '../pack/reader.ts';
import { type Command, positionals } from './command.ts';
import { loadEngine } from './engine.ts';

export const logits: Command = {
  summary: 'Print the logits of a sequence of token ids',
  help: `npm run -s models -- logits PACK --ids 1,2,3

Prints one JSON array with an array of logits, one for each row of the vocabulary, for each position, and nothing else.

  --ids LIST   token ids, separated by commas`,

  async run(args) {
    const { values, positionals: given } = parseArgs({ args, options: { ids: { type: 'string' } }, allowPositionals: true });
    const { PACK } = positionals(given, 'PACK');
    const pack = await openPack(new FolderStorage(PACK));
    const { vocabSize, contextLength } = pack.manifest.config;
    const ids = parseIds(values.ids, vocabSize);
    if (ids.length > contextLength) throw new ModelError(`--ids has ${ids.length} tokens, and the model takes ${contextLength}.`);
    const stage = await loadEngine(pack, { contextLength: ids.length });
    const rows = await stage.forward(ids);
    // Row by row: as one string, a long sequence over a large vocabulary would not fit.
    for (const [i, row] of rows.entries()) process.stdout.write(`${i === 0 ? '[' : ','}[${row.join(',')}]`);
    process.stdout.write(']\n');
  },
};

function parseIds(text: string | undefined, vocabSize: number): number[] {
  if (!text) throw new ModelError('--ids is missing: give token ids separated by commas, for example --ids 1,2,3.');
  return text.split(',').map((part) => {
    const id = Number(part);
    if (!/^\s*\d+\s*$/.test(part) || id >= vocabSize)
      throw new ModelError(`--ids: "${part}" is not a token id from 0 to ${vocabSize - 1}.`);
    return id;
  });
}
