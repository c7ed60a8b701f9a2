/**
 * Softmax attention over a paged KV cache (qwen35.md section 2.1): with an output gate and normed q and k (qwen3_5), or plain grouped-query attention (llama).
 * A page holds 64 positions of every attention layer of the stage; a layer's share is keys [64, kvHeads * headDim], then values of the same shape.
 */
import { exp1, exp4, rmsNorm, sigmoid4, sum4 } from './math';
import { Layer, Model, PAGE, Row, ROW_BYTES } from './model';

/** Scores of one head over one page. */
const scores = memory.data(PAGE * 4, 16);

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
  const page = <usize>load<u32>(row.pages + (<usize>(row.position / PAGE) << 2)) + layer.pageOffset;
  const slot = <usize>(row.position % PAGE) * kvBytes;
  memory.copy(page + slot, k, kvBytes);
  memory.copy(page + <usize>PAGE * kvBytes + slot, v, kvBytes);
}

function dot(a: usize, b: usize, n: i32): f32 {
  let s = f32x4.splat(0), t = s;
  const end = a + (<usize>n << 2);
  for (; a + 32 <= end; a += 32, b += 32) {
    s = f32x4.add(s, f32x4.mul(v128.load(a), v128.load(b)));
    t = f32x4.add(t, f32x4.mul(v128.load(a, 16), v128.load(b, 16)));
  }
  if (a < end) s = f32x4.add(s, f32x4.mul(v128.load(a), v128.load(b)));
  return sum4(f32x4.add(s, t));
}

/** out [n] = out * keep + sum over `count` positions of scores[i] * values[i]; lines of values lie `stride` bytes apart. n is a multiple of 4. */
function addValues(out: usize, values: usize, stride: usize, count: i32, n: i32, keep: f32): void {
  const kept = f32x4.splat(keep), end = out + (<usize>n << 2), lastScore = scores + (<usize>count << 2);
  for (; out + 64 <= end; out += 64, values += 64) {
    let a = f32x4.mul(v128.load(out), kept), b = f32x4.mul(v128.load(out, 16), kept);
    let c = f32x4.mul(v128.load(out, 32), kept), d = f32x4.mul(v128.load(out, 48), kept);
    for (let s = scores, v = values; s != lastScore; s += 4, v += stride) {
      const p = v128.load32_splat(s);
      a = f32x4.add(a, f32x4.mul(v128.load(v), p)); b = f32x4.add(b, f32x4.mul(v128.load(v, 16), p));
      c = f32x4.add(c, f32x4.mul(v128.load(v, 32), p)); d = f32x4.add(d, f32x4.mul(v128.load(v, 48), p));
    }
    v128.store(out, a); v128.store(out, b, 16); v128.store(out, c, 32); v128.store(out, d, 48);
  }
  for (; out < end; out += 16, values += 16) {
    let a = f32x4.mul(v128.load(out), kept);
    for (let s = scores, v = values; s != lastScore; s += 4, v += stride) a = f32x4.add(a, f32x4.mul(v128.load(v), v128.load32_splat(s)));
    v128.store(out, a);
  }
}

/**
 * One query head over `count` cached positions: out [headDim] = softmax(q k / sqrt(headDim)) v, page by page with a running maximum and sum (Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018). `head` is the byte offset of the key/value head in a cache line of `line` bytes.
 */
function attend(q: usize, out: usize, pages: usize, pageOffset: usize, head: usize, line: usize, count: i32, headDim: i32): void {
  const scale = <f32>1 / sqrt<f32>(<f32>headDim);
  let maximum: f32 = -Infinity, total: f32 = 0;
  memory.fill(out, 0, <usize>headDim << 2);
  for (; count > 0; count -= PAGE, pages += 4) {
    const n = min(count, PAGE), keys = <usize>load<u32>(pages) + pageOffset + head;
    let at = scores, highest = maximum;
    for (let i = 0, key = keys; i < n; i++, at += 4, key += line) {
      const score = dot(q, key, headDim) * scale;
      store<f32>(at, score);
      highest = max(highest, score);
    }
    for (; at & 15; at += 4) store<f32>(at, -Infinity);
    const keep = exp1(maximum - highest), shift = f32x4.splat(highest);
    let sum = f32x4.splat(0);
    for (let s = scores; s != at; s += 16) {
      const e = exp4(f32x4.sub(v128.load(s), shift));
      v128.store(s, e);
      sum = f32x4.add(sum, e);
    }
    total = total * keep + sum4(sum);
    maximum = highest;
    addValues(out, keys + <usize>PAGE * line, line, n, headDim, keep);
  }
  const r = f32x4.splat(<f32>1 / total);
  for (let end = out + (<usize>headDim << 2); out < end; out += 16) v128.store(out, f32x4.mul(v128.load(out), r));
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
  const share = m.heads / m.kvHeads;
  for (let i = 0; i < count; i++) {
    const row = changetype<Row>(rows + <usize>i * ROW_BYTES);
    let q = m.q + <usize>i * qLine, out = m.mixed + <usize>i * (<usize>m.heads * bytes);
    for (let h = 0; h < m.heads; h++, q += qStep, out += bytes) {
      attend(q, out, row.pages, layer.pageOffset, <usize>(h / share) * bytes, line, row.position + 1, m.headDim);
      if (m.gated) applyGate(out, q + bytes, m.headDim);
    }
  }
}

/** out *= sigmoid(gate) over n floats. */
function applyGate(out: usize, gate: usize, n: i32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    v128.store(out + i, f32x4.mul(v128.load(out + i), sigmoid4(v128.load(gate + i))));
  }
}
