import type { HeadQuery, SliceAnswer, StepEntry, StepResult } from '../../../wasm/engine/stage.ts';

/*
 * The two calls that every token makes, as a string and one run of bytes there and bytes back: objects with fields and typed arrays cost an RPC more to write and to
 * read, in code that the weights, streaming by, have pushed out of the processor's caches every time. All numbers little-endian, as WebAssembly has them.
 */

/** What a call sends. */
export interface Sent {
  text: string;
  bytes: ArrayBuffer;
}

/** Text: the sessions, with a line break between. Words: position and count of numbers of each entry; then the hidden states. */
export function encodeStep(batch: StepEntry[]): Sent {
  const head = 2 * batch.length;
  let numbers = 0;
  for (const { hidden } of batch) numbers += hidden!.length;
  const bytes = new ArrayBuffer(4 * (head + numbers));
  const words = new Uint32Array(bytes, 0, head);
  const floats = new Float32Array(bytes);
  let at = head;
  for (const [i, { position, hidden }] of batch.entries()) {
    words[2 * i] = position;
    words[2 * i + 1] = hidden!.length;
    floats.set(hidden!, at);
    at += hidden!.length;
  }
  return { text: batch.map(({ session }) => session).join('\n'), bytes };
}

export function decodeStep({ text, bytes }: Sent): StepEntry[] {
  if (bytes.byteLength === 0) return [];
  const sessions = text.split('\n');
  const words = new Uint32Array(bytes, 0, 2 * sessions.length);
  let at = words.byteLength;
  return sessions.map((session, i) => {
    const hidden = new Float32Array(bytes, at, words[2 * i + 1]);
    at += hidden.byteLength;
    return { session, position: words[2 * i]!, hidden };
  });
}

/** The hidden states of all entries. */
export function encodeStepped(results: StepResult[]): ArrayBuffer {
  const only = results.length === 1 ? results[0]!.hidden! : null;
  if (only && only.buffer.byteLength === only.byteLength) return only.buffer as ArrayBuffer;
  const all = new Float32Array(results.reduce((sum, { hidden }) => sum + hidden!.length, 0));
  let at = 0;
  for (const { hidden } of results) {
    all.set(hidden!, at);
    at += hidden!.length;
  }
  return all.buffer;
}

/** @param batch what the step was asked */
export function decodeStepped(bytes: ArrayBuffer, batch: StepEntry[]): StepResult[] {
  let at = 0;
  return batch.map(({ hidden }) => {
    const found = new Float32Array(bytes, at, hidden!.length);
    at += found.byteLength;
    return { hidden: found, head: null };
  });
}

/** Text: the queries as JSON; their numbers are finite. Bytes: the hidden states. */
export function encodeQuestion(hidden: Float32Array, queries: HeadQuery[]): Sent {
  const whole = hidden.buffer.byteLength === hidden.byteLength;
  return { text: JSON.stringify(queries), bytes: (whole ? hidden : hidden.slice()).buffer as ArrayBuffer };
}

export const decodeQuestion = ({ text, bytes }: Sent): [hidden: Float32Array, queries: HeadQuery[]] => [
  new Float32Array(bytes),
  JSON.parse(text) as HeadQuery[],
];

/** 64-bit numbers at the start of an answer: how many candidates and sums, the next token, the two log-sum-exps, and the drawn token; -1 where there is none. */
const ANSWER = 9;
const wordsOf = ({ ids, next }: SliceAnswer): number => 3 * ids.length + (next?.row.length ?? 0);
const doublesOf = (answer: SliceAnswer): number => ANSWER + 2 * answer.sums.length + Math.ceil(wordsOf(answer) / 2);

export function encodeAnswers(answers: SliceAnswer[]): ArrayBuffer {
  const bytes = new ArrayBuffer(8 * (1 + answers.reduce((sum, answer) => sum + doublesOf(answer), 0)));
  const doubles = new Float64Array(bytes);
  doubles[0] = answers.find(({ next }) => next)?.next?.row.length ?? 0;
  let at = 1;
  for (const answer of answers) {
    const { ids, logits, rawLogits, sums, rawSums, drawn, next } = answer;
    const { logSumExp, rawLogSumExp } = answer;
    const drawing = drawn ? [drawn.id, drawn.score, drawn.logit, drawn.rawLogit] : [-1, 0, 0, 0];
    doubles.set([ids.length, sums.length, next?.id ?? -1, logSumExp, rawLogSumExp, ...drawing, ...sums, ...rawSums], at);
    const words = 8 * (at + ANSWER + 2 * sums.length);
    new Int32Array(bytes, words, ids.length).set(ids);
    const floats = new Float32Array(bytes, words + 4 * ids.length, wordsOf(answer) - ids.length);
    floats.set(logits);
    floats.set(rawLogits, ids.length);
    if (next) floats.set(next.row, 2 * ids.length);
    at += doublesOf(answer);
  }
  return bytes;
}

/** @param count how many were asked for */
export function decodeAnswers(bytes: ArrayBuffer, count: number): SliceAnswer[] {
  const doubles = new Float64Array(bytes);
  const width = doubles[0]!;
  let at = 1;
  return Array.from({ length: count }, () => {
    const [k, sumCount, nextId, logSumExp, rawLogSumExp, id, score, logit, rawLogit] = doubles.subarray(
      at,
      at + ANSWER,
    ) as unknown as number[];
    const sums = Array.from(doubles.subarray(at + ANSWER, at + ANSWER + sumCount!));
    const rawSums = Array.from(doubles.subarray(at + ANSWER + sumCount!, at + ANSWER + 2 * sumCount!));
    const words = 8 * (at + ANSWER + 2 * sumCount!);
    const floats = (from: number, length: number) => new Float32Array(bytes, words + 4 * from, length);
    const answer: SliceAnswer = {
      ids: new Int32Array(bytes, words, k),
      logits: floats(k!, k!),
      rawLogits: floats(2 * k!, k!),
      logSumExp: logSumExp!,
      rawLogSumExp: rawLogSumExp!,
      drawn: id! < 0 ? null : { id: id!, score: score!, logit: logit!, rawLogit: rawLogit! },
      sums,
      rawSums,
      next: nextId! < 0 ? null : { id: nextId!, row: floats(3 * k!, width) },
    };
    at += doublesOf(answer);
    return answer;
  });
}
