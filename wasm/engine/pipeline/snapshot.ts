import { StageError } from '../stage.ts';

/** A session of a pipeline: its tokens, and what each stage of layers keeps of it. */
export interface PipelineSnapshot {
  tokens: number[];
  /** After the last layer at the last position [H]; null of a session without tokens. */
  hidden: Float32Array | null;
  parts: Uint8Array[];
}

/** Bytes: magic, numbers of tokens, of hidden values and of parts, the lengths of the parts (32-bit words all), tokens, hidden values, parts. */
const MAGIC = 0x3153504e; // "NPS1"
const HEADER_WORDS = 4;

export function joinSnapshot({ tokens, hidden, parts }: PipelineSnapshot): Uint8Array {
  const words = [MAGIC, tokens.length, hidden?.length ?? 0, parts.length, ...parts.map((part) => part.length), ...tokens];
  const at = 4 * (words.length + (hidden?.length ?? 0));
  const bytes = new Uint8Array(at + parts.reduce((sum, part) => sum + part.length, 0));
  new Uint32Array(bytes.buffer, 0, words.length).set(words);
  if (hidden) new Float32Array(bytes.buffer, 4 * words.length, hidden.length).set(hidden);
  let offset = at;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Throws `StageError` `bad_snapshot` for what is none of a pipeline of so many stages. @param width of a hidden state */
export function splitSnapshot(snapshot: Uint8Array, stages: number, width: number): PipelineSnapshot {
  const refuse = (what: string) => new StageError('bad_snapshot', `The snapshot ${what}; open the session empty and prefill it again.`);
  if (snapshot.length < 4 * HEADER_WORDS) throw refuse('is cut short');
  // Its bytes may lie anywhere in another buffer.
  const { buffer } = snapshot.slice();
  const [magic, tokenCount, hiddenCount, partCount] = new Uint32Array(buffer, 0, HEADER_WORDS) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (magic !== MAGIC) throw refuse('is none of a pipeline');
  if (partCount !== stages) throw refuse('is one of other stages');
  if (hiddenCount !== 0 && hiddenCount !== width) throw refuse('is one of another model');
  const words = HEADER_WORDS + partCount + tokenCount;
  let at = 4 * (words + hiddenCount);
  if (snapshot.length < at) throw refuse('is cut short');
  const lengths = new Uint32Array(buffer, 4 * HEADER_WORDS, partCount);
  if (snapshot.length !== at + lengths.reduce((sum, length) => sum + length, 0)) throw refuse('is cut short');
  const parts = Array.from(lengths, (length) => {
    at += length;
    return snapshot.subarray(at - length, at);
  });
  return {
    tokens: Array.from(new Uint32Array(buffer, 4 * (HEADER_WORDS + partCount), tokenCount)),
    hidden: hiddenCount > 0 ? new Float32Array(buffer.slice(4 * words, 4 * (words + hiddenCount))) : null,
    parts,
  };
}
