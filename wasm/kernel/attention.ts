/**
 * Softmax attention over a paged KV cache (qwen35.md section 2.1): with an output gate and normed q and k (qwen3_5), or plain grouped-query attention (llama).
 * A page holds 64 positions of every attention layer of the stage; a layer's share is keys [kvHeads, 64, headDim], then values of the same shape, as floats or as
 * halves (kv-half.ts).
 */
import { fromHalves, toHalves } from './kv-half';
import { exp1, exp4, max4, rmsNorm, sigmoid4, sum4 } from './math';
import { Layer, Model, PAGE, Row, ROW_BYTES } from './model';
import { barrier, member, shareEnd, shareFirst } from './team';

/** Positions whose keys or values are unpacked at a time: few, so that memory is fetched ahead while they are used (64: 27 instead of 40 tokens/s at a context of 2048). */
const BLOCK = 8;

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
  const line = m.halfKv ? bytes >> 1 : bytes, share = <usize>PAGE * line;
  let keys = pageOf(row, row.position / PAGE) + layer.pageOffset + <usize>(row.position % PAGE) * line + kvHead * share;
  for (let h = kvHead * bytes; h < kvEnd; h += bytes, keys += share) {
    if (m.gated) rmsNorm(k + h, layer.kNorm, k + h, m.headDim, m.epsilon);
    rotate(k + h, cos, sin, m.rotaryDim);
    const values = keys + <usize>m.kvHeads * share;
    if (m.halfKv) {
      toHalves(k + h, keys, m.headDim);
      toHalves(v + h, values, m.headDim);
    } else {
      memory.copy(keys, k + h, bytes);
      memory.copy(values, v + h, bytes);
    }
  }
}

function pageOf(row: Row, page: i32): usize {
  return <usize>load<u32>(row.pages + (<usize>page << 2));
}

/**
 * Scores of two heads over `count` positions (rounded up to 4): to_h[i] = q_h k_i * scale. Lines of keys lie `line` bytes apart. Tiles of 4 positions x 2 heads,
 * each sum in the order of the dimensions, whatever the tile it is in.
 */
function score(q0: usize, q1: usize, to0: usize, to1: usize, keys: usize, line: usize, count: i32, headDim: i32, scale: f32): void {
  const bytes = <usize>headDim << 2, by = f32x4.splat(scale);
  for (const end = to0 + (<usize>count << 2); to0 < end; to0 += 16, to1 += 16, keys += line << 2) {
    let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
    let k0 = keys, k1 = k0 + line, k2 = k1 + line, k3 = k2 + line;
    for (let i: usize = 0; i < bytes; i += 16) {
      const qa = v128.load(q0 + i), qb = v128.load(q1 + i);
      let k = v128.load(k0 + i); a0 = f32x4.add(a0, f32x4.mul(qa, k)); b0 = f32x4.add(b0, f32x4.mul(qb, k));
      k = v128.load(k1 + i); a1 = f32x4.add(a1, f32x4.mul(qa, k)); b1 = f32x4.add(b1, f32x4.mul(qb, k));
      k = v128.load(k2 + i); a2 = f32x4.add(a2, f32x4.mul(qa, k)); b2 = f32x4.add(b2, f32x4.mul(qb, k));
      k = v128.load(k3 + i); a3 = f32x4.add(a3, f32x4.mul(qa, k)); b3 = f32x4.add(b3, f32x4.mul(qb, k));
    }
    v128.store(to0, f32x4.mul(sums(a0, a1, a2, a3), by));
    v128.store(to1, f32x4.mul(sums(b0, b1, b2, b3), by));
  }
}

/** The sums of the lanes of four vectors. */
@inline function sums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 2, 6), v128.shuffle<f32>(a, b, 1, 5, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 2, 6), v128.shuffle<f32>(c, d, 1, 5, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** Of each row and head: the largest score so far, the sum of e^(score - largest), and what a new largest score makes of what was summed up before. */
@unmanaged class Running {
  largest: f32;
  sum: f32;
  keep: f32;
  none: i32;
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
  for (let s = scores; s != last; s += 16) high = f32x4.max(high, v128.load(s));
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

/**
 * out_h [n] = out_h * keep_h + sum over `count` positions of weights_h[i] * values[i], for two heads; lines of values lie `line` bytes apart. n is a multiple of 4.
 * When both are one and the same, what is computed as the first counts.
 */
function addValues(
  out0: usize, out1: usize, keep0: f32, keep1: f32, weights0: usize, weights1: usize, values: usize, line: usize, count: i32, n: i32,
): void {
  const ka = f32x4.splat(keep0), kb = f32x4.splat(keep1), end = out0 + (<usize>n << 2), last = <usize>count << 2;
  for (; out0 + 64 <= end; out0 += 64, out1 += 64, values += 64) {
    let a0 = f32x4.mul(v128.load(out0), ka), a1 = f32x4.mul(v128.load(out0, 16), ka), a2 = f32x4.mul(v128.load(out0, 32), ka), a3 = f32x4.mul(v128.load(out0, 48), ka);
    let b0 = f32x4.mul(v128.load(out1), kb), b1 = f32x4.mul(v128.load(out1, 16), kb), b2 = f32x4.mul(v128.load(out1, 32), kb), b3 = f32x4.mul(v128.load(out1, 48), kb);
    for (let i: usize = 0, v = values; i != last; i += 4, v += line) {
      const pa = v128.load32_splat(weights0 + i), pb = v128.load32_splat(weights1 + i);
      let x = v128.load(v); a0 = f32x4.add(a0, f32x4.mul(x, pa)); b0 = f32x4.add(b0, f32x4.mul(x, pb));
      x = v128.load(v, 16); a1 = f32x4.add(a1, f32x4.mul(x, pa)); b1 = f32x4.add(b1, f32x4.mul(x, pb));
      x = v128.load(v, 32); a2 = f32x4.add(a2, f32x4.mul(x, pa)); b2 = f32x4.add(b2, f32x4.mul(x, pb));
      x = v128.load(v, 48); a3 = f32x4.add(a3, f32x4.mul(x, pa)); b3 = f32x4.add(b3, f32x4.mul(x, pb));
    }
    v128.store(out1, b0); v128.store(out1, b1, 16); v128.store(out1, b2, 32); v128.store(out1, b3, 48);
    v128.store(out0, a0); v128.store(out0, a1, 16); v128.store(out0, a2, 32); v128.store(out0, a3, 48);
  }
  for (; out0 < end; out0 += 16, out1 += 16, values += 16) {
    let a = f32x4.mul(v128.load(out0), ka), b = f32x4.mul(v128.load(out1), kb);
    for (let i: usize = 0, v = values; i != last; i += 4, v += line) {
      const x = v128.load(v);
      a = f32x4.add(a, f32x4.mul(x, v128.load32_splat(weights0 + i))); b = f32x4.add(b, f32x4.mul(x, v128.load32_splat(weights1 + i)));
    }
    v128.store(out1, b); v128.store(out0, a);
  }
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

/** Scores of the query heads `first` to `next - 1` of a row with a block's keys. */
function scoreBlock(m: Model, i: usize, first: usize, next: usize, block: usize, keys: usize, count: i32): void {
  const bytes = <usize>m.headDim << 2, qStep = m.gated ? bytes << 1 : bytes, q = m.q + i * <usize>m.heads * qStep;
  for (let a = first; a < next; a += 2) {
    const b = min(a + 1, next - 1), scale = <f32>1 / sqrt<f32>(<f32>m.headDim);
    score(q + a * qStep, q + b * qStep, scoresOf(m, i, a) + block, scoresOf(m, i, b) + block, keys, bytes, count, m.headDim, scale);
  }
}

/** And the block's values, weighted, to what these heads have so far. */
function addBlock(m: Model, i: usize, first: usize, next: usize, block: usize, values: usize, count: i32): void {
  const bytes = <usize>m.headDim << 2, out = m.mixed + i * <usize>m.heads * bytes;
  for (let a = first; a < next; a += 2) {
    const b = min(a + 1, next - 1), keepA = block ? <f32>1 : runningOf(m, i, a).keep, keepB = block ? <f32>1 : runningOf(m, i, b).keep;
    addValues(out + a * bytes, out + b * bytes, keepA, keepB, scoresOf(m, i, a) + block, scoresOf(m, i, b) + block, values, bytes, count, m.headDim);
  }
}

/** A block's keys or values as floats. */
function unpacked(m: Model, at: usize, count: i32): usize {
  if (!m.halfKv) return at;
  const to = m.unpacked + <usize>(member() * BLOCK * m.headDim << 2);
  fromHalves(at, to, count * m.headDim);
  return to;
}

/**
 * Rows `first` to `next - 1`, all of one session: their query heads `head` to `headEnd - 1`, which share these keys and values, over the page that begins at position
 * `start`. Its keys and values are read once for all of them.
 */
function attendPage(m: Model, rows: usize, first: i32, next: i32, head: usize, headEnd: usize, start: i32, keys: usize, values: usize): void {
  const line = <usize>m.headDim << (m.halfKv ? 1 : 2);
  const end = seen(rows, next - 1, start, PAGE);
  for (let at = 0; at < end; at += BLOCK) {
    const block = unpacked(m, keys + <usize>at * line, min(end - at, BLOCK));
    for (let i = first; i < next; i++) {
      const count = seen(rows, i, start + at, BLOCK);
      if (count > 0) scoreBlock(m, <usize>i, head, headEnd, <usize>at << 2, block, count);
    }
  }
  for (let i = first; i < next; i++) {
    const count = seen(rows, i, start, PAGE);
    if (count > 0) for (let h = head; h < headEnd; h++) softmax(scoresOf(m, <usize>i, h), count, runningOf(m, <usize>i, h));
  }
  for (let at = 0; at < end; at += BLOCK) {
    const block = unpacked(m, values + <usize>at * line, min(end - at, BLOCK));
    for (let i = first; i < next; i++) {
      const count = seen(rows, i, start + at, BLOCK);
      if (count > 0) addBlock(m, <usize>i, head, headEnd, <usize>at << 2, block, count);
    }
  }
}

/** Rows `first` to `next - 1`, all of one session, page by page: query heads `head` to `headEnd - 1`. */
function attendSession(m: Model, layer: Layer, rows: usize, first: i32, next: i32, head: i32, headEnd: i32): void {
  const session = changetype<Row>(rows + <usize>first * ROW_BYTES), positions = changetype<Row>(rows + <usize>(next - 1) * ROW_BYTES).position + 1;
  const share = (<usize>PAGE * <usize>m.headDim) << (m.halfKv ? 1 : 2), sharing = m.heads / m.kvHeads;
  for (let from = head, to = 0; from < headEnd; from = to) {
    const g = from / sharing;
    to = min((g + 1) * sharing, headEnd);
    for (let page = 0; page * PAGE < positions; page++) {
      const keys = pageOf(session, page) + layer.pageOffset + <usize>g * share;
      attendPage(m, rows, first, next, <usize>from, <usize>to, page * PAGE, keys, keys + <usize>m.kvHeads * share);
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

/** Row i's heads have seen nothing yet. */
function begin(m: Model, i: usize, head: usize, headEnd: usize): void {
  const bytes = <usize>m.headDim << 2;
  memory.fill(m.mixed + (i * <usize>m.heads + head) * bytes, 0, (headEnd - head) * bytes);
  for (let h = head; h < headEnd; h++) {
    const running = runningOf(m, i, h);
    running.largest = -Infinity;
    running.sum = 0;
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
