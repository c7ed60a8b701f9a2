/**
 * Softmax attention over a paged KV cache (qwen35.md section 2.1): with an output gate and normed q and k (qwen3_5), or plain grouped-query attention (llama).
 * A page holds 64 positions of every attention layer of the stage; a layer's share is keys [64, kvHeads * headDim], then values of the same shape, as floats or as
 * halves (kv-half.ts).
 */
import { fromHalves, toHalves } from './kv-half';
import { exp1, exp4, max4, rmsNorm, sigmoid4, sum4 } from './math';
import { Layer, Model, PAGE, Row, ROW_BYTES } from './model';

/** Scores of two heads over one page. */
const scores = memory.data(PAGE * 8, 16);
const SCORES: usize = PAGE * 4;

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

/** Norms and rotates the heads of one token, and appends its keys and values to the cache. */
function prepare(m: Model, layer: Layer, row: Row, q: usize, k: usize, v: usize, cos: usize, sin: usize): void {
  const bytes = <usize>m.headDim << 2, kvBytes = <usize>m.kvHeads * bytes;
  const qStep = m.gated ? bytes << 1 : bytes;
  for (let h = 0, at = q; h < m.heads; h++, at += qStep) {
    if (m.gated) rmsNorm(at, layer.qNorm, at, m.headDim, m.epsilon);
    rotate(at, cos, sin, m.rotaryDim);
  }
  for (let h = 0, at = k; h < m.kvHeads; h++, at += bytes) {
    if (m.gated) rmsNorm(at, layer.kNorm, at, m.headDim, m.epsilon);
    rotate(at, cos, sin, m.rotaryDim);
  }
  const line = m.halfKv ? kvBytes >> 1 : kvBytes;
  const keys = pageOf(row, row.position / PAGE) + layer.pageOffset + <usize>(row.position % PAGE) * line, values = keys + <usize>PAGE * line;
  if (m.halfKv) {
    toHalves(k, keys, m.kvHeads * m.headDim);
    toHalves(v, values, m.kvHeads * m.headDim);
  } else {
    memory.copy(keys, k, kvBytes);
    memory.copy(values, v, kvBytes);
  }
}

function pageOf(row: Row, page: i32): usize {
  return <usize>load<u32>(row.pages + (<usize>page << 2));
}

/**
 * Scores of two heads over `count` positions (rounded up to 4): scores[h][i] = q_h k_i * scale. Lines of keys lie `line` bytes apart. Tiles of 4 positions x 2 heads,
 * each sum in the order of the dimensions, whatever the tile it is in.
 */
function score(q0: usize, q1: usize, keys: usize, line: usize, count: i32, headDim: i32, scale: f32): void {
  const bytes = <usize>headDim << 2;
  for (let at = scores, end = at + (<usize>count << 2); at < end; at += 16, keys += line << 2) {
    let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
    let k0 = keys, k1 = k0 + line, k2 = k1 + line, k3 = k2 + line;
    for (let i: usize = 0; i < bytes; i += 16) {
      const qa = v128.load(q0 + i), qb = v128.load(q1 + i);
      let k = v128.load(k0 + i); a0 = f32x4.add(a0, f32x4.mul(qa, k)); b0 = f32x4.add(b0, f32x4.mul(qb, k));
      k = v128.load(k1 + i); a1 = f32x4.add(a1, f32x4.mul(qa, k)); b1 = f32x4.add(b1, f32x4.mul(qb, k));
      k = v128.load(k2 + i); a2 = f32x4.add(a2, f32x4.mul(qa, k)); b2 = f32x4.add(b2, f32x4.mul(qb, k));
      k = v128.load(k3 + i); a3 = f32x4.add(a3, f32x4.mul(qa, k)); b3 = f32x4.add(b3, f32x4.mul(qb, k));
    }
    const by = f32x4.splat(scale);
    v128.store(at, f32x4.mul(sums(a0, a1, a2, a3), by));
    v128.store(at + SCORES, f32x4.mul(sums(b0, b1, b2, b3), by));
  }
}

/** The sums of the lanes of four vectors. */
@inline function sums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 2, 6), v128.shuffle<f32>(a, b, 1, 5, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 2, 6), v128.shuffle<f32>(c, d, 1, 5, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/**
 * The next page of a softmax with a running maximum and sum (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018): scores [count] become
 * e^(score - maximum). Answers what the sums so far are to be multiplied with. `running` holds maximum and sum.
 */
function softmax(at: usize, count: i32, running: usize): f32 {
  const end = at + (<usize>count << 2), maximum = load<f32>(running);
  let last = end;
  for (; last & 15; last += 4) store<f32>(last, -Infinity);
  let high = f32x4.splat(maximum);
  for (let s = at; s != last; s += 16) high = f32x4.max(high, v128.load(s));
  const highest = max4(high), shift = f32x4.splat(highest), keep = exp1(maximum - highest);
  let sum = f32x4.splat(0);
  for (let s = at; s != last; s += 16) {
    const e = exp4(f32x4.sub(v128.load(s), shift));
    v128.store(s, e);
    sum = f32x4.add(sum, e);
  }
  store<f32>(running, highest);
  store<f32>(running, load<f32>(running, 4) * keep + sum4(sum), 4);
  return keep;
}

/**
 * out_h [n] = out_h * keep_h + sum over `count` positions of scores[h][i] * values[i], for two heads; lines of values lie `line` bytes apart. n is a multiple of 4.
 * When both are one and the same, what is computed as the first counts.
 */
function addValues(out0: usize, out1: usize, keep0: f32, keep1: f32, values: usize, line: usize, count: i32, n: i32): void {
  const ka = f32x4.splat(keep0), kb = f32x4.splat(keep1), end = out0 + (<usize>n << 2), last = scores + (<usize>count << 2);
  for (; out0 + 64 <= end; out0 += 64, out1 += 64, values += 64) {
    let a0 = f32x4.mul(v128.load(out0), ka), a1 = f32x4.mul(v128.load(out0, 16), ka), a2 = f32x4.mul(v128.load(out0, 32), ka), a3 = f32x4.mul(v128.load(out0, 48), ka);
    let b0 = f32x4.mul(v128.load(out1), kb), b1 = f32x4.mul(v128.load(out1, 16), kb), b2 = f32x4.mul(v128.load(out1, 32), kb), b3 = f32x4.mul(v128.load(out1, 48), kb);
    for (let s = scores, v = values; s != last; s += 4, v += line) {
      const pa = v128.load32_splat(s), pb = v128.load32_splat(s + SCORES);
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
    for (let s = scores, v = values; s != last; s += 4, v += line) {
      const x = v128.load(v);
      a = f32x4.add(a, f32x4.mul(x, v128.load32_splat(s))); b = f32x4.add(b, f32x4.mul(x, v128.load32_splat(s + SCORES)));
    }
    v128.store(out1, b); v128.store(out0, a);
  }
}

/** One row's query heads that share key/value head `g`, over the first `count` positions of a page whose keys and values are given. */
function attendPage(m: Model, i: usize, g: i32, keys: usize, values: usize, line: usize, count: i32): void {
  const share = m.heads / m.kvHeads, bytes = <usize>m.headDim << 2, qStep = m.gated ? bytes << 1 : bytes;
  const first = <usize>(g * share), q = m.q + (i * <usize>m.heads + first) * qStep, out = m.mixed + (i * <usize>m.heads + first) * bytes;
  const running = m.running + ((i * <usize>m.heads + first) << 3);
  for (let h = 0; h < share; h += 2) {
    const a = <usize>h, b = <usize>min(h + 1, share - 1);
    score(q + a * qStep, q + b * qStep, keys, line, count, m.headDim, <f32>1 / sqrt<f32>(<f32>m.headDim));
    const keepA = softmax(scores, count, running + (a << 3)), keepB = a == b ? <f32>0 : softmax(scores + SCORES, count, running + (b << 3));
    addValues(out + a * bytes, out + b * bytes, keepA, keepB, values, line, count, m.headDim);
  }
}

/**
 * Rows `first` to `next - 1`, all of one session, page by page: each page's keys and values are read once for all rows and all heads that share them.
 */
function attendSession(m: Model, layer: Layer, rows: usize, first: i32, next: i32): void {
  const session = changetype<Row>(rows + <usize>first * ROW_BYTES), positions = changetype<Row>(rows + <usize>(next - 1) * ROW_BYTES).position + 1;
  const head = <usize>m.headDim << (m.halfKv ? 1 : 2), cached = <usize>m.kvHeads * head;
  for (let g = 0; g < m.kvHeads; g++) {
    for (let page = 0; page * PAGE < positions; page++) {
      let keys = pageOf(session, page) + layer.pageOffset + <usize>g * head, values = keys + <usize>PAGE * cached, line = cached;
      if (m.halfKv) {
        const count = min(positions - page * PAGE, PAGE);
        line = <usize>m.headDim << 2;
        for (let i: usize = 0; i < <usize>count; i++) {
          fromHalves(keys + i * cached, m.pageKeys + i * line, m.headDim);
          fromHalves(values + i * cached, m.pageValues + i * line, m.headDim);
        }
        keys = m.pageKeys;
        values = m.pageValues;
      }
      for (let i = first; i < next; i++) {
        const count = changetype<Row>(rows + <usize>i * ROW_BYTES).position + 1 - page * PAGE;
        if (count > 0) attendPage(m, <usize>i, g, keys, values, line, min(count, PAGE));
      }
    }
  }
}

/** m.mixed [rows, heads * headDim] from m.q, m.k and m.v: every row's keys and values go into the cache first, then every row reads what it may see. */
export function attention(m: Model, layer: Layer, rows: usize, count: i32): void {
  const bytes = <usize>m.headDim << 2, line = <usize>m.kvHeads * bytes;
  const qStep = m.gated ? bytes << 1 : bytes, qLine = <usize>m.heads * qStep;
  const angles = <usize>(m.rotaryDim >> 1) << 2;
  for (let i = 0; i < count; i++) {
    const r = <usize>i, row = changetype<Row>(rows + r * ROW_BYTES);
    prepare(m, layer, row, m.q + r * qLine, m.k + r * line, m.v + r * line, m.cos + r * angles, m.sin + r * angles);
  }
  const heads = <usize>(count * m.heads);
  memory.fill(m.mixed, 0, heads * bytes);
  for (let i: usize = 0; i < heads; i++) {
    store<f32>(m.running + (i << 3), -Infinity);
    store<f32>(m.running + (i << 3), 0, 4);
  }
  for (let first = 0, next = 0; first < count; first = next) {
    const pages = changetype<Row>(rows + <usize>first * ROW_BYTES).pages;
    for (next = first + 1; next < count && changetype<Row>(rows + <usize>next * ROW_BYTES).pages == pages;) next++;
    attendSession(m, layer, rows, first, next);
  }
  for (let i: usize = 0; i < heads; i++) finish(m.mixed + i * bytes, load<f32>(m.running + (i << 3), 4), m.gated ? m.q + i * qStep + bytes : 0, m.headDim);
}

/** out [n] = out / total, times sigmoid(gate) where there is one. */
function finish(out: usize, total: f32, gate: usize, n: i32): void {
  const r = f32x4.splat(<f32>1 / total);
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    const mixed = f32x4.mul(v128.load(out + i), r);
    v128.store(out + i, gate ? f32x4.mul(mixed, sigmoid4(v128.load(gate + i))) : mixed);
  }
}
