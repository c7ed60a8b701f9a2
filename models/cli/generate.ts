import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { GenerateOptions } from '../../wasm/engine/generate.ts';
import type { SamplingRequest } from '../../wasm/engine/sampling.ts';
import { ModelError } from '../model-error.ts';
import { FolderStorage } from '../pack/folder-storage.ts';
import { openPack, type Pack } from '../pack/reader.ts';
import { ChatTemplate } from '../template/chat-template.ts';
import { IncrementalDecoder } from '../tokenizer/incremental-decoder.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type Command, numberOption, positionals } from './command.ts';
import { loadEngine } from './engine.ts';
import { loadTokenizer } from './tokenizer.ts';

export const generate: Command = {
  summary: 'Answer a prompt',
  help: `npm run -s models -- generate PACK PROMPT [options]

Prints the answer as it is generated, thinking included, then on stderr how fast that was.

  --max-tokens N    at most this many tokens (default 128)
  --temperature T   0 always takes the best token (default: what the pack recommends)
  --seed S          same seed, same answer (default: random)
  --raw             continue PROMPT as it is, without the model's chat template`,

  async run(args) {
    const text = { type: 'string' } as const;
    const options = { 'max-tokens': text, temperature: text, seed: text, raw: { type: 'boolean' } } as const;
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const { PACK, PROMPT } = positionals(given, 'PACK', 'PROMPT');
    const maxTokens = numberOption('max-tokens', values['max-tokens'], 128, { min: 1, integer: true });
    const seed = numberOption('seed', values.seed, randomInt(2 ** 32), { min: 0, integer: true });
    const temperature = values.temperature === undefined ? undefined : numberOption('temperature', values.temperature, 1, { min: 0 });
    const pack = await openPack(new FolderStorage(PACK));
    const tokenizer = await loadTokenizer(pack);
    const ids = encodePrompt(pack, tokenizer, PROMPT, values.raw ?? false);
    const { contextLength } = pack.manifest.config;
    if (ids.length === 0) throw new ModelError('PROMPT is empty, so there is nothing to continue.');
    if (ids.length >= contextLength)
      throw new ModelError(`PROMPT has ${ids.length} tokens, and the model takes ${contextLength} with the answer.`);
    await answer(pack, tokenizer, ids, maxTokens, { temperature, seed });
  },
};

function encodePrompt({ manifest }: Pack, tokenizer: Tokenizer, prompt: string, raw: boolean): number[] {
  if (!raw && manifest.chatTemplate !== null)
    return new ChatTemplate(manifest.chatTemplate, tokenizer).encode([{ role: 'user', content: prompt }]).ids;
  const ids = tokenizer.encode(prompt);
  return tokenizer.addBos && tokenizer.bosId !== null ? [tokenizer.bosId, ...ids] : ids;
}

async function answer(pack: Pack, tokenizer: Tokenizer, ids: number[], maxTokens: number, request: SamplingRequest): Promise<void> {
  const [engine, { resolveSampling }] = await Promise.all([
    import('../../wasm/engine/generate.ts'),
    import('../../wasm/engine/sampling.ts'),
  ]);
  const contextLength = Math.min(pack.manifest.config.contextLength, ids.length + maxTokens);
  const stage = await loadEngine(pack, { contextLength });
  const options: GenerateOptions = {
    sampling: resolveSampling(request, pack.manifest.sampling, 0),
    maxTokens,
    contextLength,
    stopIds: pack.manifest.eosIds,
    stop: [],
    topLogprobs: null,
    splitter: null,
  };
  const text = {
    bytesOf: (id: number) => tokenizer.bytesOf(id),
    decoder: () => new IncrementalDecoder(tokenizer, { skipSpecial: true }),
  };
  const started = performance.now();
  await stage.open('answer');
  for await (const event of engine.generate(stage, text, 'answer', ids, options, new AbortController().signal)) {
    if (event.type === 'text') process.stdout.write(event.content);
    else {
      const seconds = (performance.now() - started) / 1000;
      process.stdout.write('\n');
      process.stderr.write(`${ids.length} + ${event.tokens} tokens in ${seconds.toFixed(2)} s, ended by ${event.reason}.\n`);
    }
  }
}
