import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadEngine } from '../models/cli/engine.ts';
import { FolderStorage } from '../models/pack/folder-storage.ts';
import { openPack } from '../models/pack/reader.ts';
import { Tokenizer } from '../models/tokenizer/tokenizer.ts';
import { smollm2Gguf } from '../test/support/smollm2.ts';
import { benchPack } from './engine/model-files.ts';
import { grid } from './engine/table.ts';
import { ROOT } from './engine/workerd.ts';
import { machine } from './machine.ts';
import { fetched, numberOption, packFolder, UsageError } from './options.ts';
import { Comparison } from './quality/comparison.ts';

const HELP = `Usage: npm run bench -- quality [[PACK_F32] PACK...] [--text FILE]... [--tokens N] [--json FILE]

Perplexity of each pack over a text, and how closely each follows the first one: top-1 agreement and Kullback-Leibler divergence. Without packs: SmolLM2
(npm run fetch:smollm2) packed as f32, q8_0 and q4_0; a single pack is compared with that f32. Without a text: English of this repository.

  --text FILE   text to read; may be repeated
  --tokens N    at most so many tokens (3000)
`;

/** Tokens that are predicted from nothing but each other: long enough to be typical, short enough for all logits to fit. */
const WINDOW = 256;

function defaultTexts(): string[] {
  const decisions = join(ROOT, 'docs/decisions');
  const documents = readdirSync(decisions)
    .sort()
    .map((name) => join(decisions, name));
  return [join(ROOT, 'test/fixtures/english.txt'), ...documents, join(ROOT, 'README.md')];
}

/** A pack's name for a table, its engine and its tokenizer. */
async function open(folder: string) {
  const pack = await openPack(new FolderStorage(folder));
  const { tokenizer } = pack.manifest;
  if (!tokenizer) throw new Error(`${folder} has no tokenizer: measure a pack that can read text.`);
  const stage = await loadEngine(pack, { contextLength: WINDOW });
  const { quantization, name } = pack.manifest;
  return { name: `${name} ${quantization}`, folder, stage, tokenizer: Tokenizer.load(await pack.file(tokenizer)), manifest: pack.manifest };
}

/** The reference first. */
async function packsToCompare(given: string[]): Promise<string[]> {
  for (const folder of given) packFolder(folder);
  if (given.length > 1) return given;
  const gguf = fetched(smollm2Gguf);
  const folders = given.length === 1 ? given : [await benchPack(gguf, 'q8_0'), await benchPack(gguf, 'q4_0')];
  return [await benchPack(gguf, 'f32'), ...folders];
}

/** Windows of consecutive tokens, the last one dropped when it is short. */
function windowsOf(ids: number[], tokens: number): number[][] {
  const count = Math.floor(Math.min(ids.length, tokens) / WINDOW);
  return Array.from({ length: count }, (_, i) => ids.slice(i * WINDOW, (i + 1) * WINDOW));
}

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      text: { type: 'string', multiple: true },
      tokens: { type: 'string', default: '3000' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const tokens = numberOption('tokens', values.tokens, { min: 1, whole: true });
  const folders = await packsToCompare(positionals);
  const texts = values.text ?? defaultTexts();
  const packs = [];
  for (const folder of folders) packs.push(await open(folder));
  const [reference] = packs;
  for (const { folder, manifest } of packs) {
    if (manifest.tokenCount === reference!.manifest.tokenCount) continue;
    throw new UsageError(`${folder} has another vocabulary than ${reference!.folder}: name the f32 pack of its own model before it.`);
  }
  const windows = windowsOf(reference!.tokenizer.encode(texts.map((path) => readFileSync(path, 'utf8')).join('\n')), tokens);
  if (windows.length === 0) throw new Error(`The text has fewer than ${WINDOW} tokens: give a longer one.`);
  const comparisons = packs.map(() => new Comparison(reference!.manifest.tokenCount));
  for (const [i, ids] of windows.entries()) {
    process.stderr.write(`${i * WINDOW} of ${windows.length * WINDOW} tokens\r`);
    const expected = await reference!.stage.forward(ids);
    for (const [p, { stage }] of packs.entries()) comparisons[p]!.add(ids, expected, p === 0 ? expected : await stage.forward(ids));
  }
  const rows = packs.map(({ name, folder }, i) => ({ name, pack: basename(folder), ...comparisons[i]!.result() }));
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  console.log(`${windows.length * WINDOW} tokens of ${texts.map((path) => basename(path)).join(', ')}, in windows of ${WINDOW}`);
  console.log(
    grid([
      ['pack', 'perplexity', 'against the first', 'top-1 agreement', 'KL divergence'],
      ...rows.map((row) => [
        row.name,
        row.perplexity.toFixed(3),
        percent(row.perplexity / rows[0]!.perplexity - 1),
        percent(row.top1Agreement),
        row.klDivergence.toFixed(5),
      ]),
    ]),
  );
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine: machine(), window: WINDOW, texts, rows }, null, 2)}\n`);
}
