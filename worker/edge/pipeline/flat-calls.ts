import type { HeadQuery, SliceAnswer, StepEntry, StepResult } from '../../../wasm/engine/stage.ts';

/*
 * The two calls that every token makes, as one run of bytes each way: objects with fields and typed arrays cost an RPC more to write and to read, in code that the
 * weights, streaming by, have pushed out of the processor's caches every time. All numbers little-endian, as WebAssembly has them.
 */

const text = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** Words: number of entries, bytes of the names; position and numbers of each entry. Then the hidden states, and the names with a line break between. */
export function encodeStep(batch: StepEntry[]): ArrayBuffer {
  const names = text.encoder.encode(batch.map(({ session }) => session).join('\n'));
  const head = 2 + 2 * batch.length;
  const numbers = batch.reduce((sum, { hidden }) => sum + hidden!.length, 0);
  const bytes = new ArrayBuffer(4 * (head + numbers) + names.length);
  const words = new Uint32Array(bytes, 0, head);
  words[0] = batch.length;
  words[1] = names.length;
  let at = head;
  for (const [i, { position, hidden }] of batch.entries()) {
    words[2 + 2 * i] = position;
    words[3 + 2 * i] = hidden!.length;
    new Float32Array(bytes, 4 * at, hidden!.length).set(hidden!);
    at += hidden!.length;
  }
  new Uint8Array(bytes, 4 * at).set(names);
  return bytes;
}

export function decodeStep(bytes: ArrayBuffer): StepEntry[] {
  const [count, nameBytes] = new Uint32Array(bytes, 0, 2) as unknown as [number, number];
  const words = new Uint32Array(bytes, 8, 2 * count);
  const names = text.decoder.decode(new Uint8Array(bytes, bytes.byteLength - nameBytes)).split('\n');
  let at = 4 * (2 + words.length);
  return Array.from({ length: count }, (_, i) => {
    const hidden = new Float32Array(bytes, at, words[2 * i + 1]);
    at += hidden.byteLength;
    return { session: names[i]!, position: words[2 * i]!, hidden };
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

/** A word with the number of the hidden states' numbers; these; and the queries as JSON, whose numbers are finite. */
export function encodeQuestion(hidden: Float32Array, queries: HeadQuery[]): ArrayBuffer {
  const json = text.encoder.encode(JSON.stringify(queries));
  const bytes = new ArrayBuffer(4 + hidden.byteLength + json.length);
  new Uint32Array(bytes, 0, 1)[0] = hidden.length;
  new Float32Array(bytes, 4, hidden.length).set(hidden);
  new Uint8Array(bytes, 4 + hidden.byteLength).set(json);
  return bytes;
}

export function decodeQuestion(bytes: ArrayBuffer): [hidden: Float32Array, queries: HeadQuery[]] {
  const hidden = new Float32Array(bytes, 4, new Uint32Array(bytes, 0, 1)[0]);
  return [hidden, JSON.parse(text.decoder.decode(new Uint8Array(bytes, 4 + hidden.byteLength))) as HeadQuery[]];
}

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
