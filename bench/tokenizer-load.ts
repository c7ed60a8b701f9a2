/**
 * Size, load time and retained memory of the tokenizer for a vocabulary of Qwen3.5's size, which no package carries: 247,587 merges made at random from shorter
 * tokens. Prints both forms, merges by rank = id and merges listed.
 *
 *     node --expose-gc bench/tokenizer-load.ts
 */
import { buildTokenizer } from '../models/tokenizer/build.ts';
import { readTokenizer, writeTokenizer } from '../models/tokenizer/format.ts';
import type { GgufTokenizer } from '../models/tokenizer/source.ts';
import { Tokenizer } from '../models/tokenizer/tokenizer.ts';

const MERGES = 247_587;
const collect = globalThis.gc ?? (() => {});

function syntheticSource(): GgufTokenizer {
  let state = 1;
  const next = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const isPrintable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let extra = 256;
  const tokens = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : extra++));
  const seen = new Set(tokens);
  const merges: string[] = [];
  const letters = 26;
  while (merges.length < MERGES) {
    const left = next(3) === 0 ? tokens[97 + next(letters)]! : (tokens[256 + next(tokens.length - 256)] ?? tokens[97 + next(letters)]!);
    const right = next(2) === 0 ? tokens[97 + next(letters)]! : (tokens[256 + next(Math.min(tokens.length - 256, 2000))] ?? 'e');
    const joined = left + right;
    if (joined.length > 14 || seen.has(joined)) continue;
    seen.add(joined);
    tokens.push(joined);
    merges.push(`${left} ${right}`);
  }
  tokens.push('<|im_end|>');
  const types = tokens.map((_, id) => (id === tokens.length - 1 ? 3 : 1));
  return { kind: 'gguf', model: 'gpt2', pre: 'qwen35', tokens, types, merges, eosId: tokens.length - 1, bosId: null, addBos: false };
}

function measure(name: string, file: Uint8Array): void {
  const text = 'the quick brown fox jumps over the lazy dog and reads a long story about the sea '.repeat(2000);
  collect();
  const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const bytes = file.slice();
  const before = memory() - bytes.length;
  const started = performance.now();
  const tokenizer = Tokenizer.load(bytes);
  tokenizer.encode('first');
  const loaded = performance.now() - started;
  const encodeStarted = performance.now();
  const count = tokenizer.encode(text).length;
  const seconds = (performance.now() - encodeStarted) / 1000;
  collect();
  const megabytes = (value: number) => (value / 1e6).toFixed(1);
  console.log(
    `${name}: file ${megabytes(file.length)} MB, load ${loaded.toFixed(0)} ms, retained ${megabytes(memory() - before)} MB, ` +
      `${((count / seconds) * 1e-6).toFixed(1)} M tokens/s (${tokenizer.tokenCount} tokens)`,
  );
}

const { bytes } = buildTokenizer(syntheticSource());
measure('merges listed', bytes);
// The same tokens without the list: other ids than the list would give, but the same amount of data and work.
measure('rank = id', writeTokenizer({ ...readTokenizer(bytes), merges: null }));
