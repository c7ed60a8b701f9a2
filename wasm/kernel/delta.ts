/**
 * Gated DeltaNet (qwen35.md section 2.2; Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024), recurrent form. A session's state for a layer is the
 * convolution's [taps - 1, channels] (the last raw inputs), then the delta rule's S [valueHeads, keyDim, valueDim].
 */
import { exp1, l2Norm, rmsNorm, sigmoid4, silu4, softplus } from './math';
import { Layer, Model, Row, ROW_BYTES } from './model';

/**
 * Causal depthwise convolution and SiLU of one position, in place: u[c] = silu(sum over j of weight[j][c] * u(position - taps + 1 + j)[c]), `weight`
 * [taps, channels], channels a multiple of 4. The state is a ring: the input of position p lies in line p mod (taps - 1), so nothing is moved.
 */
export function causalConv(u: usize, state: usize, weight: usize, position: i32, taps: i32, channels: i32): void {
  const line = <usize>channels << 2, oldest = state + <usize>(position % (taps - 1)) * line, stateEnd = state + <usize>(taps - 1) * line;
  for (let c: usize = 0; c < line; c += 16) {
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
 * One step of the gated delta rule on 16 columns of one head's state S [keyDim, valueDim]:
 * S <- decay S;  e = beta (v - S^T k);  S <- S + k e^T;  out = S^T q. Columns do not depend on each other, so a stripe of S stays in the first-level cache
 * for all positions of a micro-batch. The decayed S is not stored by the pass that reads: the pass that writes decays it again, to the same bits.
 */
function deltaColumns(s: usize, q: usize, k: usize, v: usize, decay: f32, beta: f32, out: usize, keyDim: i32, line: usize): void {
  const d = f32x4.splat(decay), b = f32x4.splat(beta), bytes = <usize>keyDim << 2;
  let e0 = f32x4.splat(0), e1 = e0, e2 = e0, e3 = e0;
  for (let i: usize = 0, p = s; i < bytes; i += 4, p += line) {
    const ki = v128.load32_splat(k + i);
    e0 = f32x4.add(e0, f32x4.mul(f32x4.mul(v128.load(p), d), ki)); e1 = f32x4.add(e1, f32x4.mul(f32x4.mul(v128.load(p, 16), d), ki));
    e2 = f32x4.add(e2, f32x4.mul(f32x4.mul(v128.load(p, 32), d), ki)); e3 = f32x4.add(e3, f32x4.mul(f32x4.mul(v128.load(p, 48), d), ki));
  }
  e0 = f32x4.mul(b, f32x4.sub(v128.load(v), e0)); e1 = f32x4.mul(b, f32x4.sub(v128.load(v, 16), e1));
  e2 = f32x4.mul(b, f32x4.sub(v128.load(v, 32), e2)); e3 = f32x4.mul(b, f32x4.sub(v128.load(v, 48), e3));
  let o0 = f32x4.splat(0), o1 = o0, o2 = o0, o3 = o0, t: v128;
  for (let i: usize = 0, p = s; i < bytes; i += 4, p += line) {
    const ki = v128.load32_splat(k + i), qi = v128.load32_splat(q + i);
    t = f32x4.add(f32x4.mul(v128.load(p), d), f32x4.mul(ki, e0)); v128.store(p, t); o0 = f32x4.add(o0, f32x4.mul(t, qi));
    t = f32x4.add(f32x4.mul(v128.load(p, 16), d), f32x4.mul(ki, e1)); v128.store(p, t, 16); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = f32x4.add(f32x4.mul(v128.load(p, 32), d), f32x4.mul(ki, e2)); v128.store(p, t, 32); o2 = f32x4.add(o2, f32x4.mul(t, qi));
    t = f32x4.add(f32x4.mul(v128.load(p, 48), d), f32x4.mul(ki, e3)); v128.store(p, t, 48); o3 = f32x4.add(o3, f32x4.mul(t, qi));
  }
  v128.store(out, o0); v128.store(out, o1, 16); v128.store(out, o2, 32); v128.store(out, o3, 48);
}

/**
 * One step of the gated delta rule for one head: S [keyDim, valueDim] is updated, out [valueDim] written. q and k [keyDim] are used as they are (normed and
 * scaled by the caller), `decay` is the factor e^g. valueDim is a multiple of 16.
 */
export function deltaRule(s: usize, q: usize, k: usize, v: usize, decay: f32, beta: f32, out: usize, keyDim: i32, valueDim: i32): void {
  const line = <usize>valueDim << 2;
  for (let c: usize = 0; c < line; c += 64) deltaColumns(s + c, q, k, v + c, decay, beta, out + c, keyDim, line);
}

/** b <- beta = sigmoid(b), a <- e^g with g = decay * softplus(a + dt_bias), for the heads of one token. */
function gates(m: Model, layer: Layer, b: usize, a: usize): void {
  for (let h: usize = 0, end = <usize>m.valueHeads << 2; h < end; h += 4) {
    store<f32>(b + h, f32x4.extract_lane(sigmoid4(v128.load32_splat(b + h)), 0));
    store<f32>(a + h, exp1(load<f32>(layer.decay + h) * softplus(load<f32>(a + h) + load<f32>(layer.dtBias + h))));
  }
}

/** out = rmsNorm(out) * weight * silu(z) for one head. */
function gatedNorm(out: usize, weight: usize, z: usize, n: i32, epsilon: f32): void {
  rmsNorm(out, weight, out, n, epsilon);
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, f32x4.mul(v128.load(out + i), silu4(v128.load(z + i))));
}

/** m.mixed [rows, valueHeads * valueDim] from m.qkv, m.z, m.b and m.a, advancing each row's session. */
export function gatedDeltaNet(m: Model, layer: Layer, rows: usize, count: i32): void {
  const keyBytes = <usize>m.keyDim << 2, valueBytes = <usize>m.valueDim << 2;
  const keysAt = <usize>m.keyHeads * keyBytes, valuesAt = keysAt << 1, mixedLine = <usize>m.valueHeads * valueBytes;
  const qkvLine = valuesAt + mixedLine, gateLine = <usize>((m.valueHeads + 7) & ~7) << 2;
  const convBytes = <usize>(m.taps - 1) * qkvLine, headBytes = <usize>m.keyDim * valueBytes;
  for (let i: usize = 0; i < <usize>count; i++) {
    const row = changetype<Row>(rows + i * ROW_BYTES), u = m.qkv + i * qkvLine;
    causalConv(u, row.state + layer.stateOffset, layer.conv, row.position, m.taps, <i32>(qkvLine >> 2));
    for (let at = u; at < u + keysAt; at += keyBytes) l2Norm(at, m.keyDim, <f32>1 / sqrt<f32>(<f32>m.keyDim));
    for (let at = u + keysAt; at < u + valuesAt; at += keyBytes) l2Norm(at, m.keyDim, 1);
    gates(m, layer, m.b + i * gateLine, m.a + i * gateLine);
  }
  const share = m.valueHeads / m.keyHeads;
  for (let h = 0; h < m.valueHeads; h++) {
    const key = <usize>(h / share) * keyBytes, value = <usize>h * valueBytes, gate = <usize>h << 2;
    for (let c: usize = 0; c < valueBytes; c += 64) {
      for (let i: usize = 0; i < <usize>count; i++) {
        const row = changetype<Row>(rows + i * ROW_BYTES), u = m.qkv + i * qkvLine;
        const s = row.state + layer.stateOffset + convBytes + <usize>h * headBytes + c;
        const beta = load<f32>(m.b + i * gateLine + gate), decay = load<f32>(m.a + i * gateLine + gate);
        deltaColumns(s, u + key, u + keysAt + key, u + valuesAt + value + c, decay, beta, m.mixed + i * mixedLine + value + c, m.keyDim, valueBytes);
      }
    }
    for (let i: usize = 0; i < <usize>count; i++) {
      gatedNorm(m.mixed + i * mixedLine + value, layer.linearNorm, m.z + i * mixedLine + value, m.valueDim, m.epsilon);
    }
  }
}
