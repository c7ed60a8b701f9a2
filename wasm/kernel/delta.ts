/**
 * Gated DeltaNet (qwen35.md section 2.2; Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024), recurrent form. A session's state for a layer is the
 * convolution's [taps - 1, channels] (the last raw inputs), then the delta rule's S [valueHeads, valueDim / 16, keyDim, 16].
 */
import { dot, exp1, l2Norm, rmsNorm, sigmoid4, silu4, softplus } from './math';
import { Layer, Model, Row, ROW_BYTES } from './model';
import { shareEnd, shareFirst } from './team';
import { spread0, spread1, spread2, spread3 } from './tile';

/**
 * Causal depthwise convolution and SiLU of one position, in place: u[c] = silu(sum over j of weight[j][c] * u(position - taps + 1 + j)[c]), `weight`
 * [taps, channels], channels a multiple of 4. The state is a ring: the input of position p lies in line p mod (taps - 1), so nothing is moved.
 */
export function causalConv(u: usize, state: usize, weight: usize, position: i32, taps: i32, channels: i32): void {
  convolve(u, state, weight, position, taps, <usize>channels << 2, 0, <usize>channels << 2);
}

/** The same for the channels whose bytes of a line, which has `line`, go from `first` to `end`. */
function convolve(u: usize, state: usize, weight: usize, position: i32, taps: i32, line: usize, first: usize, end: usize): void {
  const oldest = state + <usize>(position % (taps - 1)) * line, stateEnd = state + <usize>(taps - 1) * line;
  for (let c = first; c < end; c += 16) {
    const raw = v128.load(u + c);
    let acc = f32x4.splat(0), w = weight + c, past = oldest + c;
    for (let j = 1; j < taps; j++) {
      acc = f32x4.add(acc, f32x4.mul(v128.load(w), v128.load(past)));
      w += line;
      past += line;
      if (past >= stateEnd) past -= stateEnd - state;
    }
    acc = f32x4.add(acc, f32x4.mul(v128.load(w), raw));
    v128.store(oldest + c, raw);
    v128.store(u + c, silu4(acc));
  }
}

/**
 * One step of the gated delta rule on a stripe of 16 columns of one head's state S: S <- decay S;  e = beta (v - S^T k);  S <- S + k e^T;  out = S^T q. A stripe lies
 * in one piece, [keyDim, 16], and stays in the first-level cache for all positions of a micro-batch, since columns do not depend on each other.
 *
 * Computed as r = S^T k and o = S^T q in one pass, e = beta (v - decay r), out = decay o + (k q) e, and S <- decay S + k e^T in a second: seven operations for each
 * vector of S, where the chunked form (Yang et al., "Parallelizing Linear Transformers with the Delta Rule", 2024) needs six and its triangular systems besides.
 * `kq` is k q.
 */
function deltaStripe(s: usize, q: usize, k: usize, v: usize, decay: f32, beta: f32, kq: f32, out: usize, keyDim: i32): void {
  const end = k + (<usize>keyDim << 2);
  let r0 = f32x4.splat(0), r1 = r0, r2 = r0, r3 = r0, o0 = r0, o1 = r0, o2 = r0, o3 = r0, t: v128;
  for (let i = k, p = s; i != end; i += 16, q += 16, p += 256) {
    const k4 = v128.load(i), q4 = v128.load(q);
    let ki: v128, qi: v128;
    ki = spread0(k4); qi = spread0(q4);
    t = v128.load(p, 0); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 16); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 32); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 48); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
    ki = spread1(k4); qi = spread1(q4);
    t = v128.load(p, 64); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 80); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 96); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 112); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
    ki = spread2(k4); qi = spread2(q4);
    t = v128.load(p, 128); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 144); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 160); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 176); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
    ki = spread3(k4); qi = spread3(q4);
    t = v128.load(p, 192); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 208); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 224); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 240); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
  }
  const d = f32x4.splat(decay), b = f32x4.splat(beta), c = f32x4.splat(kq);
  r0 = f32x4.mul(b, f32x4.sub(v128.load(v), f32x4.mul(d, r0))); v128.store(out, f32x4.add(f32x4.mul(d, o0), f32x4.mul(c, r0)));
  r1 = f32x4.mul(b, f32x4.sub(v128.load(v, 16), f32x4.mul(d, r1))); v128.store(out, f32x4.add(f32x4.mul(d, o1), f32x4.mul(c, r1)), 16);
  r2 = f32x4.mul(b, f32x4.sub(v128.load(v, 32), f32x4.mul(d, r2))); v128.store(out, f32x4.add(f32x4.mul(d, o2), f32x4.mul(c, r2)), 32);
  r3 = f32x4.mul(b, f32x4.sub(v128.load(v, 48), f32x4.mul(d, r3))); v128.store(out, f32x4.add(f32x4.mul(d, o3), f32x4.mul(c, r3)), 48);
  for (let p = s; k != end; k += 16, p += 256) {
    const k4 = v128.load(k);
    let ki: v128;
    ki = spread0(k4);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 0), d), f32x4.mul(ki, r0)), 0); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 16), d), f32x4.mul(ki, r1)), 16);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 32), d), f32x4.mul(ki, r2)), 32); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 48), d), f32x4.mul(ki, r3)), 48);
    ki = spread1(k4);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 64), d), f32x4.mul(ki, r0)), 64); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 80), d), f32x4.mul(ki, r1)), 80);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 96), d), f32x4.mul(ki, r2)), 96); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 112), d), f32x4.mul(ki, r3)), 112);
    ki = spread2(k4);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 128), d), f32x4.mul(ki, r0)), 128); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 144), d), f32x4.mul(ki, r1)), 144);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 160), d), f32x4.mul(ki, r2)), 160); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 176), d), f32x4.mul(ki, r3)), 176);
    ki = spread3(k4);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 192), d), f32x4.mul(ki, r0)), 192); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 208), d), f32x4.mul(ki, r1)), 208);
    v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 224), d), f32x4.mul(ki, r2)), 224); v128.store(p, f32x4.add(f32x4.mul(v128.load(p, 240), d), f32x4.mul(ki, r3)), 240);
  }
}

/**
 * One step of the gated delta rule for one head: S [valueDim / 16, keyDim, 16] is updated, out [valueDim] written. q and k [keyDim] are used as they are (normed and
 * scaled by the caller), `decay` is the factor e^g. keyDim is a multiple of 4, valueDim of 16.
 */
export function deltaRule(s: usize, q: usize, k: usize, v: usize, decay: f32, beta: f32, out: usize, keyDim: i32, valueDim: i32): void {
  const stripe = <usize>keyDim << 6, kq = dot(k, q, keyDim);
  for (let c: usize = 0, end = <usize>valueDim << 2; c < end; c += 64, s += stripe) deltaStripe(s, q, k, v + c, decay, beta, kq, out + c, keyDim);
}

/** b <- beta = sigmoid(b), a <- e^g with g = decay * softplus(a + dt_bias), for heads `first` to `end - 1` of one token. */
function gates(layer: Layer, b: usize, a: usize, first: i32, last: i32): void {
  for (let h = <usize>first << 2, end = <usize>last << 2; h < end; h += 4) {
    store<f32>(b + h, f32x4.extract_lane(sigmoid4(v128.load32_splat(b + h)), 0));
    store<f32>(a + h, exp1(load<f32>(layer.decay + h) * softplus(load<f32>(a + h) + load<f32>(layer.dtBias + h))));
  }
}

/** out = rmsNorm(out) * weight * silu(z) for one head. */
function gatedNorm(out: usize, weight: usize, z: usize, n: i32, epsilon: f32): void {
  rmsNorm(out, weight, out, n, epsilon);
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, f32x4.mul(v128.load(out + i), silu4(v128.load(z + i))));
}

/** m.mixed [rows, valueHeads * valueDim] from m.qkv, m.z, m.b and m.a, advancing each row's session: each member its share of the key heads and all that belongs to them. */
export function gatedDeltaNet(m: Model, layer: Layer, rows: usize, count: i32): void {
  const keyHead = shareFirst(m.keyHeads, 1), keyHeadEnd = shareEnd(m.keyHeads, 1), share = m.valueHeads / m.keyHeads;
  const keyBytes = <usize>m.keyDim << 2, valueBytes = <usize>m.valueDim << 2;
  const keysAt = <usize>m.keyHeads * keyBytes, valuesAt = keysAt << 1, mixedLine = <usize>m.valueHeads * valueBytes;
  const qkvLine = valuesAt + mixedLine, gateLine = <usize>((m.valueHeads + 7) & ~7) << 2;
  const convBytes = <usize>(m.taps - 1) * qkvLine;
  for (let i: usize = 0; i < <usize>count; i++) {
    const row = changetype<Row>(rows + i * ROW_BYTES), u = m.qkv + i * qkvLine;
    const state = row.state + layer.stateOffset, first = <usize>keyHead * keyBytes, end = <usize>keyHeadEnd * keyBytes;
    const value = valuesAt + <usize>(keyHead * share) * valueBytes, valueEnd = valuesAt + <usize>(keyHeadEnd * share) * valueBytes;
    convolve(u, state, layer.conv, row.position, m.taps, qkvLine, first, end);
    convolve(u, state, layer.conv, row.position, m.taps, qkvLine, keysAt + first, keysAt + end);
    convolve(u, state, layer.conv, row.position, m.taps, qkvLine, value, valueEnd);
    for (let at = first; at < end; at += keyBytes) {
      l2Norm(u + at, m.keyDim, <f32>1 / sqrt<f32>(<f32>m.keyDim));
      l2Norm(u + keysAt + at, m.keyDim, 1);
    }
    gates(layer, m.b + i * gateLine, m.a + i * gateLine, keyHead * share, keyHeadEnd * share);
  }
  // Row after row of one session while a stripe of its state is in the cache, and each session's state from front to back.
  for (let first = 0, next = 0; first < count; first = next) {
    const state = changetype<Row>(rows + <usize>first * ROW_BYTES).state;
    for (next = first + 1; next < count && changetype<Row>(rows + <usize>next * ROW_BYTES).state == state;) next++;
    advance(m, layer, state + layer.stateOffset + convBytes, <usize>first, <usize>next, keyHead * share, keyHeadEnd * share);
  }
}

/** Value heads `head` to `headEnd - 1` of rows `first` to `next - 1`, all of one session, whose state of the delta rule lies at `s`. */
function advance(m: Model, layer: Layer, s: usize, first: usize, next: usize, head: i32, headEnd: i32): void {
  const keyBytes = <usize>m.keyDim << 2, valueBytes = <usize>m.valueDim << 2, stripe = <usize>m.keyDim << 6;
  const keysAt = <usize>m.keyHeads * keyBytes, valuesAt = keysAt << 1, mixedLine = <usize>m.valueHeads * valueBytes;
  const qkvLine = valuesAt + mixedLine, gateLine = <usize>((m.valueHeads + 7) & ~7) << 2;
  const share = m.valueHeads / m.keyHeads;
  s += <usize>head * <usize>m.keyDim * valueBytes;
  for (let h = head; h < headEnd; h++) {
    const key = <usize>(h / share) * keyBytes, value = <usize>h * valueBytes, gate = <usize>h << 2;
    for (let c: usize = 0; c < valueBytes; c += 64, s += stripe) {
      for (let i = first; i < next; i++) {
        const q = m.qkv + i * qkvLine + key, k = q + keysAt, v = m.qkv + i * qkvLine + valuesAt + value + c;
        const beta = load<f32>(m.b + i * gateLine + gate), decay = load<f32>(m.a + i * gateLine + gate);
        deltaStripe(s, q, k, v, decay, beta, dot(k, q, m.keyDim), m.mixed + i * mixedLine + value + c, m.keyDim);
      }
    }
    for (let i = first; i < next; i++) {
      gatedNorm(m.mixed + i * mixedLine + value, layer.linearNorm, m.z + i * mixedLine + value, m.valueDim, m.epsilon);
    }
  }
}
