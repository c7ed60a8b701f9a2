import { parseArgs } from 'node:util';
import { FolderStorage } from '../pack/folder-storage.ts';
import { openPack } from '../pack/reader.ts';
import { type Command, positionals } from './command.ts';
import { loadTokenizer } from './tokenizer.ts';

export const tokenize: Command = {
  summary: 'Show the tokens of a text',
  help: `npm run -s models -- tokenize PACK TEXT [--pieces] [--template]

Prints the ids of TEXT as one JSON array.

  --pieces     one line per token instead: its id and its text as JSON
  --template   TEXT is the output of a chat template: control tokens in it, such as <|im_start|>, count as such`,

  async run(args) {
    const options = { pieces: { type: 'boolean' }, template: { type: 'boolean' } } as const;
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const { PACK, TEXT } = positionals(given, 'PACK', 'TEXT');
    const tokenizer = await loadTokenizer(await openPack(new FolderStorage(PACK)));
    const ids = values.template ? tokenizer.encodeTemplate(TEXT) : tokenizer.encode(TEXT);
    if (values.pieces) for (const id of ids) console.log(`${String(id).padStart(6)}  ${JSON.stringify(tokenizer.tokenText(id))}`);
    else console.log(JSON.stringify(ids));
  },
};
