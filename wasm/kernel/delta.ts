/**
 * Gated DeltaNet (qwen35.md section 2.2; Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024). A session's state for a layer is the convolution's
 * [taps - 1, channels] (the last raw inputs), then the delta rule's (delta-rule.ts).
 */
import { deltaRule } from './delta-rule';
import { exp1, l2Norm, rmsNorm, sigmoid4, silu4, siluTimes, softplus } from './math';
import { Layer, Model, Row, ROW_BYTES } from './model';
import { shareEnd, shareFirst } from './team';

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
  let c = first;
  for (; c + 32 <= end; c += 32) {
    // Two vectors at a time, step by step, as siluTimes.
    const zero = i32x4(0, 0, 0, 0), raw = v128.load(u + c, 0), raw1 = v128.load(u + c, 16);
    let acc = zero, acc1 = zero, w = weight + c, past = oldest + c;
    for (let j = 1; j < taps; j++) {
      acc = f32x4.add(acc, f32x4.mul(v128.load(w, 0), v128.load(past, 0))); acc1 = f32x4.add(acc1, f32x4.mul(v128.load(w, 16), v128.load(past, 16)));
      w += line;
      past += line;
      if (past >= stateEnd) past -= stateEnd - state;
    }
    acc = f32x4.add(acc, f32x4.mul(v128.load(w, 0), raw)); acc1 = f32x4.add(acc1, f32x4.mul(v128.load(w, 16), raw1));
    v128.store(oldest + c, raw, 0); v128.store(oldest + c, raw1, 16);
    acc = silu4(acc); acc1 = silu4(acc1);
    v128.store(u + c, acc, 0); v128.store(u + c, acc1, 16);
  }
  for (; c < end; c += 16) {
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
  siluTimes(out, z, out, n);
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
    const row = changetype<Row>(rows + <usize>first * ROW_BYTES);
    for (next = first + 1; next < count && changetype<Row>(rows + <usize>next * ROW_BYTES).state == row.state;) next++;
    deltaRule(m, row.state + layer.stateOffset + convBytes, row.position, first, next, keyHead * share, keyHeadEnd * share);
  }
  for (let i: usize = 0; i < <usize>count; i++) {
    for (let at = i * mixedLine + <usize>(keyHead * share) * valueBytes, end = i * mixedLine + <usize>(keyHeadEnd * share) * valueBytes; at < end; at += valueBytes) {
      gatedNorm(m.mixed + at, layer.linearNorm, m.z + at, m.valueDim, m.epsilon);
    }
  }
}
