/**
 * Softmax attention over a paged KV cache (qwen35.md section 2.1): with an output gate and normed q and k (qwen3_5), or plain grouped-query attention (llama).
 * A page holds 64 positions of every attention layer of the stage; a layer's share is, head after head, its keys, then its values, as floats (kv-f32.ts) or as
 * integers (kv-int16.ts): in the order in which they are read.
 */
import { addValues, score } from './kv-f32';
import { addSums, int16Share, multiply, roundByNorm, roundWeights, scalesOf, scoresFrom, storeKey, storeValue } from './kv-int16';
import { exp1, exp4, max4, rmsNorm, sigmoid4, sum4 } from './math';
import { Layer, Model, PAGE, Row, ROW_BYTES } from './model';
import { barrier, member, shareEnd, shareFirst } from './team';

/**
 * Rotates the first `rotaryDim` dimensions of a head in pairs (j, j + rotaryDim / 2) by the angles whose cosines and sines are given.
 */
function rotate(head: usize, cos: usize, sin: usize, rotaryDim: i32): void {
  const half = <usize>(rotaryDim >> 1) << 2;
  for (let j: usize = 0; j < half; j += 4) {
    const a = load<f32>(head + j), b = load<f32>(head + half + j), c = load<f32>(cos + j), s = load<f32>(sin + j);
    store<f32>(head + j, a * c - b * s);
    store<f32>(head + half + j, b * c + a * s);
  }
}

/** Norms and rotates the heads of one token, and appends its keys and values to the cache: each member its share of the heads of either kind. */
function prepare(m: Model, layer: Layer, row: Row, q: usize, k: usize, v: usize, cos: usize, sin: usize): void {
  const bytes = <usize>m.headDim << 2, kvHead = <usize>shareFirst(m.kvHeads, 1), kvEnd = <usize>shareEnd(m.kvHeads, 1) * bytes;
  const qStep = m.gated ? bytes << 1 : bytes, qEnd = q + <usize>shareEnd(m.heads, 1) * qStep;
  for (let at = q + <usize>shareFirst(m.heads, 1) * qStep; at < qEnd; at += qStep) {
    if (m.gated) rmsNorm(at, layer.qNorm, at, m.headDim, m.epsilon);
    rotate(at, cos, sin, m.rotaryDim);
  }
  const share = kvShare(m), at = row.position % PAGE;
  let keys = pageOf(row, row.position / PAGE) + layer.pageOffset + (kvHead * share << 1);
  for (let h = kvHead * bytes; h < kvEnd; h += bytes, keys += share << 1) {
    if (m.gated) rmsNorm(k + h, layer.kNorm, k + h, m.headDim, m.epsilon);
    rotate(k + h, cos, sin, m.rotaryDim);
    const values = keys + share;
    if (m.int16Kv) {
      storeKey(k + h, keys, at, m.headDim);
      storeValue(v + h, values, at, m.headDim);
    } else {
      memory.copy(keys + <usize>at * bytes, k + h, bytes);
      memory.copy(values + <usize>at * bytes, v + h, bytes);
    }
  }
}

/** Bytes of a head's keys, or values, of a page. */
function kvShare(m: Model): usize {
  return m.int16Kv ? int16Share(m.headDim) : (<usize>PAGE * <usize>m.headDim) << 2;
}

function pageOf(row: Row, page: i32): usize {
  return <usize>load<u32>(row.pages + (<usize>page << 2));
}

/** Of each row and head: the largest score so far, the sum of e^(score - largest), and what a new largest score makes of what was summed up before. */
@unmanaged class Running {
  largest: f32;
  sum: f32;
  keep: f32;
  /** What an integer of the page's weights stands for. */
  unit: f32;
}

/**
 * The next page of a softmax with a running maximum and sum (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018): scores [count] become
 * e^(score - largest).
 */
function softmax(scores: usize, count: i32, running: Running): void {
  const end = scores + (<usize>count << 2);
  let last = end;
  for (; last & 15; last += 4) store<f32>(last, -Infinity);
  let high = f32x4.splat(running.largest);
  for (let s = scores; s != last; s += 16) high = f32x4.pmax(high, v128.load(s));
  const largest = max4(high), shift = f32x4.splat(largest);
  let sum = f32x4.splat(0);
  for (let s = scores; s != last; s += 16) {
    const e = exp4(f32x4.sub(v128.load(s), shift));
    v128.store(s, e);
    sum = f32x4.add(sum, e);
  }
  running.keep = exp1(running.largest - largest);
  running.largest = largest;
  running.sum = running.sum * running.keep + sum4(sum);
}

/** Where row i's head h has its scores of a page. */
@inline function scoresOf(m: Model, i: usize, h: usize): usize {
  return m.scores + (i * <usize>m.heads + h) * (PAGE << 2);
}

@inline function runningOf(m: Model, i: usize, h: usize): Running {
  return changetype<Running>(m.running + (i * <usize>m.heads + h) * offsetof<Running>());
}

/** How many of `size` positions from `start` on row i may see. */
@inline function seen(rows: usize, i: i32, start: i32, size: i32): i32 {
  return min(changetype<Row>(rows + <usize>i * ROW_BYTES).position + 1 - start, size);
}

@inline function queryOf(m: Model, i: usize, h: usize): usize {
  const bytes = <usize>m.headDim << 2;
  return m.q + (i * <usize>m.heads + h) * (m.gated ? bytes << 1 : bytes);
}

@inline function mixedOf(m: Model, i: usize, h: usize): usize {
  return m.mixed + ((i * <usize>m.heads + h) * <usize>m.headDim << 2);
}

/** Weights of a page's positions for the query heads `first` to `next - 1` of a row, in the place of scores. */
function weigh(m: Model, i: usize, first: usize, next: usize, keys: usize, values: usize, count: i32): void {
  const scale = <f32>1 / sqrt<f32>(<f32>m.headDim), n = m.headDim;
  if (!m.int16Kv) {
    for (let a = first; a < next; a += 2) {
      const b = min(a + 1, next - 1);
      score(queryOf(m, i, a), queryOf(m, i, b), scoresOf(m, i, a), scoresOf(m, i, b), keys, <usize>n << 2, count, n, scale);
    }
    for (let h = first; h < next; h++) softmax(scoresOf(m, i, h), count, runningOf(m, i, h));
    return;
  }
  for (let a = first; a < next; a += 4) {
    const b = min(a + 1, next - 1), c = min(a + 2, next - 1), d = min(a + 3, next - 1);
    multiply(
      queryOf(m, i, a), queryOf(m, i, b), queryOf(m, i, c), queryOf(m, i, d), scoresOf(m, i, a), scoresOf(m, i, b), scoresOf(m, i, c), scoresOf(m, i, d),
      keys, n >> 1, count + 7 >> 3, <usize>n << 4,
    );
  }
  for (let h = first; h < next; h++) {
    const scores = scoresOf(m, i, h), running = runningOf(m, i, h);
    scoresFrom(scores, scalesOf(keys, n), load<f32>(queryOf(m, i, h) + (<usize>n << 1)) * scale, count);
    softmax(scores, count, running);
    running.unit = roundWeights(scores, scalesOf(values, n), count);
  }
}

/** And the page's values, weighted, to what these heads have so far. */
function addPage(m: Model, i: usize, first: usize, next: usize, values: usize, count: i32): void {
  const n = m.headDim;
  if (!m.int16Kv) {
    for (let a = first; a < next; a += 2) {
      const b = min(a + 1, next - 1);
      addValues(mixedOf(m, i, a), mixedOf(m, i, b), runningOf(m, i, a).keep, runningOf(m, i, b).keep, scoresOf(m, i, a), scoresOf(m, i, b), values, <usize>n << 2, count, n);
    }
    return;
  }
  const line = <usize>n << 2, sums = m.sums + <usize>member() * (line << 2);
  for (let a = first; a < next; a += 4) {
    const b = min(a + 1, next - 1), c = min(a + 2, next - 1), d = min(a + 3, next - 1);
    multiply(
      scoresOf(m, i, a), scoresOf(m, i, b), scoresOf(m, i, c), scoresOf(m, i, d), sums, sums + line, sums + 2 * line, sums + 3 * line,
      values, count + 1 >> 1, n >> 3, PAGE << 4,
    );
    for (let h = a, at = sums; h <= d; h++, at += line) addSums(mixedOf(m, i, h), runningOf(m, i, h).keep, at, runningOf(m, i, h).unit, n);
  }
}

/**
 * Rows `first` to `next - 1`, all of one session: their query heads `head` to `headEnd - 1`, which share these keys and values, over the page that begins at position
 * `start`. Its keys, then its values, stay in the first-level cache for all of them.
 */
function attendPage(m: Model, rows: usize, first: i32, next: i32, head: usize, headEnd: usize, start: i32, keys: usize, values: usize): void {
  for (let i = first; i < next; i++) {
    const count = seen(rows, i, start, PAGE);
    if (count > 0) weigh(m, <usize>i, head, headEnd, keys, values, count);
  }
  for (let i = first; i < next; i++) {
    const count = seen(rows, i, start, PAGE);
    if (count > 0) addPage(m, <usize>i, head, headEnd, values, count);
  }
}

/** So that no compiler leaves the loads out. */
let touched: i32 = 0;

/** Has memory from `at` on brought nearer while others are computed with: processors fetch ahead only to the end of their own pages, and these lie far apart. */
function touch(at: usize, bytes: usize): void {
  let seen = 0;
  for (const end = at + bytes; at < end; at += 1024) seen |= load<i32>(at);
  touched = seen;
}

/** Rows `first` to `next - 1`, all of one session, page by page: query heads `head` to `headEnd - 1`. */
function attendSession(m: Model, layer: Layer, rows: usize, first: i32, next: i32, head: i32, headEnd: i32): void {
  const session = changetype<Row>(rows + <usize>first * ROW_BYTES), positions = changetype<Row>(rows + <usize>(next - 1) * ROW_BYTES).position + 1;
  const share = kvShare(m), sharing = m.heads / m.kvHeads;
  for (let page = 0; page * PAGE < positions; page++) {
    for (let from = head, to = 0; from < headEnd; from = to) {
      const g = from / sharing, keys = pageOf(session, page) + layer.pageOffset + (<usize>g * share << 1);
      to = min((g + 1) * sharing, headEnd);
      if (to < headEnd) touch(keys + (share << 1), share << 1);
      else if ((page + 1) * PAGE < positions) touch(pageOf(session, page + 1) + layer.pageOffset + (<usize>(head / sharing) * share << 1), share << 1);
      attendPage(m, rows, first, next, <usize>from, <usize>to, page * PAGE, keys, keys + share);
    }
  }
}

/**
 * m.mixed [rows, heads * headDim] from m.q, m.k and m.v: every row's keys and values go into the cache first, then every row reads what it may see. Each member has its
 * share of the query heads.
 */
export function attention(m: Model, layer: Layer, rows: usize, count: i32): void {
  const bytes = <usize>m.headDim << 2, line = <usize>m.kvHeads * bytes;
  const qStep = m.gated ? bytes << 1 : bytes, qLine = <usize>m.heads * qStep;
  const angles = <usize>(m.rotaryDim >> 1) << 2;
  for (let i = 0; i < count; i++) {
    const r = <usize>i, row = changetype<Row>(rows + r * ROW_BYTES);
    prepare(m, layer, row, m.q + r * qLine, m.k + r * line, m.v + r * line, m.cos + r * angles, m.sin + r * angles);
  }
  barrier();
  const head = shareFirst(m.heads, 1), headEnd = shareEnd(m.heads, 1);
  for (let i: usize = 0; i < <usize>count; i++) begin(m, i, <usize>head, <usize>headEnd);
  for (let first = 0, next = 0; first < count; first = next) {
    const pages = changetype<Row>(rows + <usize>first * ROW_BYTES).pages;
    for (next = first + 1; next < count && changetype<Row>(rows + <usize>next * ROW_BYTES).pages == pages;) next++;
    attendSession(m, layer, rows, first, next, head, headEnd);
  }
  for (let i: usize = 0; i < <usize>count; i++) {
    for (let h = i * <usize>m.heads + <usize>head, end = h + <usize>(headEnd - head); h < end; h++) {
      finish(m.mixed + h * bytes, runningOf(m, 0, h).sum, m.gated ? m.q + h * qStep + bytes : 0, m.headDim);
    }
  }
}

/** Row i's heads have seen nothing yet. Where keys are integers so become the queries, in their place, and what one stands for follows them. */
function begin(m: Model, i: usize, head: usize, headEnd: usize): void {
  memory.fill(mixedOf(m, i, head), 0, (headEnd - head) * <usize>m.headDim << 2);
  for (let h = head; h < headEnd; h++) {
    const running = runningOf(m, i, h), q = queryOf(m, i, h);
    running.largest = -Infinity;
    running.sum = 0;
    if (m.int16Kv) store<f32>(q + (<usize>m.headDim << 1), roundByNorm(q, m.headDim));
  }
}

/** out [n] = out / total, times sigmoid(gate) where there is one. */
function finish(out: usize, total: f32, gate: usize, n: i32): void {
  const r = f32x4.splat(<f32>1 / total);
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    const mixed = f32x4.mul(v128.load(out + i), r);
    v128.store(out + i, gate ? f32x4.mul(mixed, sigmoid4(v128.load(gate + i))) : mixed);
  }
}
