import type { GenerateOptions } from '../../wasm/engine/generate.ts';
import type { LabelRow } from '../capability/fit/labels.ts';
import { ModelError } from '../model-error.ts';
import type { Pack } from '../pack/reader.ts';
import { ChatTemplate } from '../template/chat-template.ts';
import type { ChatMessage } from '../template/message.ts';
import { IncrementalDecoder } from '../tokenizer/incremental-decoder.ts';
import { loadEngine } from './engine.ts';
import { loadTokenizer } from './tokenizer.ts';

export interface AnswerOptions {
  /** Tokens of an answer, where a row does not say. */
  maxTokens: number;
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
}

/** Longest prompt and answer together: labels are for small work, and memory is taken for the whole of it. */
const CONTEXT = 2048;

/**
 * The rows with the pack's own answers, taken greedily, and their tokens' log-probabilities and margins. Throws `ModelError` for a pack that cannot chat and a
 * prompt that is too long, and the signal's reason.
 */
export async function answerRows(pack: Pack, rows: readonly LabelRow[], options: AnswerOptions): Promise<LabelRow[]> {
  const [{ generate }, { resolveSampling }] = await Promise.all([
    import('../../wasm/engine/generate.ts'),
    import('../../wasm/engine/sampling.ts'),
  ]);
  const { manifest } = pack;
  const tokenizer = await loadTokenizer(pack);
  if (manifest.chatTemplate === null) throw new ModelError('This pack has no chat template, so it cannot answer messages.');
  const template = new ChatTemplate(manifest.chatTemplate, tokenizer);
  const contextLength = Math.min(CONTEXT, manifest.config.contextLength);
  const stage = await loadEngine(pack, { contextLength });
  const text = {
    bytesOf: (id: number) => tokenizer.bytesOf(id),
    decoder: () => new IncrementalDecoder(tokenizer, { skipSpecial: true }),
  };

  const answerRow = async (row: LabelRow, index: number): Promise<LabelRow> => {
    const { ids } = template.encode(row.messages as ChatMessage[]);
    if (ids.length >= contextLength)
      throw new ModelError(`The prompt of row ${index + 1} has ${ids.length} tokens, and at most ${contextLength - 1} fit.`);
    const settings: GenerateOptions = {
      sampling: resolveSampling({ temperature: 0 }, manifest.sampling, 0),
      maxTokens: row.max_tokens ?? options.maxTokens,
      contextLength,
      stopIds: manifest.eosIds,
      stop: [],
      topLogprobs: 2,
      splitter: null,
    };
    const session = `row ${index}`;
    const [logprobs, margins]: number[][] = [[], []];
    let answer = '';
    await stage.open(session);
    try {
      for await (const event of generate(stage, text, session, ids, settings, options.signal)) {
        if (event.type !== 'text') continue;
        answer += event.content;
        for (const { logprob, top_logprobs } of event.logprobs ?? []) {
          logprobs!.push(short(Math.min(0, logprob)));
          margins!.push(short(Math.max(0, (top_logprobs[0]?.logprob ?? 0) - (top_logprobs[1]?.logprob ?? 0))));
        }
      }
    } finally {
      await stage.close(session);
    }
    return { ...row, answer, logprobs, margins };
  };

  const answered: LabelRow[] = [];
  for (const [index, row] of rows.entries()) {
    options.signal.throwIfAborted();
    answered.push(await answerRow(row, index));
    options.onProgress(index + 1, rows.length);
  }
  return answered;
}

const short = (value: number): number => Math.round(value * 1e4) / 1e4;
