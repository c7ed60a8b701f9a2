/**
 * The gated delta rule (Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024): for each head, S <- decay S;  e = beta (v - S^T k);  S <- S + k e^T;  out = S^T q.
 *
 * S is large, and costs the way to memory. So it is written once for each GROUP of positions; in between the k, e and decay of the group's positions are kept
 * beside it, and S^T k is that of the S in memory and a sum over these. This is the chunked form (Yang et al., "Parallelizing Linear Transformers with the Delta
 * Rule over Sequence Length", 2024), its triangular system solved by substitution. Groups begin at multiples of GROUP, so that any way of cutting a sequence into
 * micro-batches gives the same bits.
 *
 * A session's state for a layer: S [valueHeads, valueDim / 16, keyDim, 16], then of the group's positions k [GROUP, keyHeads, keyDim], e [GROUP, valueHeads, valueDim] and
 * decay [GROUP, valueHeads].
 */
import { dot } from './math';
import { Model } from './model';

/** Positions after which S is written (wasm/engine/sessions.ts has the same number). */
const GROUP = 4;

/** What a position of a head is computed with: floats of `m.factors`. Three of each position j of the group before it follow, from FACTORS_OF on. */
const FACTOR_LINE: usize = 64;
const BEFORE: usize = 0;  // product of the group's decays before it
const AFTER: usize = 4;   // and with its own
const DECAY: usize = 8;
const BETA: usize = 12;
const KEY_QUERY: usize = 16;
const FACTORS_OF: usize = 20;
const OF_KEY: usize = 0;   // its part in S^T k: (k of j) k times the decays after j
const OF_QUERY: usize = 4; // in S^T q: (k of j) q times these and the position's own
const OF_STATE: usize = 8; // in S: all of these decays

/**
 * Rows `first` to `next - 1` of a micro-batch, consecutive positions of one session from `position` on, for value heads `head` to `headEnd - 1`: m.mixed from m.qkv, m.a
 * (decay) and m.b (beta). `s` is the session's state. q and k are used as they are (normed and scaled by the caller). keyDim is a multiple of 4, valueDim of 16.
 */
export function deltaRule(m: Model, s: usize, position: i32, first: i32, next: i32, head: i32, headEnd: i32): void {
  const keyBytes = <usize>m.keyDim << 2, valueBytes = <usize>m.valueDim << 2, stripe = <usize>m.keyDim << 6;
  const keysAt = <usize>m.keyHeads * keyBytes, mixedLine = <usize>m.valueHeads * valueBytes, qkvLine = (keysAt << 1) + mixedLine;
  const share = m.valueHeads / m.keyHeads, keys = s + <usize>m.keyDim * mixedLine, sums = keys + <usize>GROUP * keysAt, decays = sums + <usize>GROUP * mixedLine;
  for (let h = head; h < headEnd; h++) {
    const key = <usize>(h / share) * keyBytes, factors = m.factors + (<usize>h << 11); // 64 bytes for each of 32 rows (MAX_ROWS of wasm/engine/scratch.ts)
    for (let i = first; i < next; i++) prepare(m, keys + key, decays + (<usize>h << 2), position + i - first, i, i - first, h, factors + <usize>(i - first) * FACTOR_LINE);
    for (let c = <usize>h * valueBytes, end = c + valueBytes, at = s + c * <usize>m.keyDim; c < end; c += 64, at += stripe) {
      for (let i = first; i < next; i++) {
        const u = m.qkv + <usize>i * qkvLine, slot = (position + i - first) % GROUP, f = factors + <usize>(i - first) * FACTOR_LINE;
        attend(at, u + key, u + keysAt + key, u + (keysAt << 1) + c, f, sums + c, mixedLine, slot, m.mixed + <usize>i * mixedLine + c, m.keyDim);
        if (slot == GROUP - 1) {
          const k = u + keysAt + key, seen = i - first;
          fold(at, seen > 2 ? k - 3 * qkvLine : keys + key, seen > 1 ? k - 2 * qkvLine : keys + keysAt + key, seen > 0 ? k - qkvLine : keys + 2 * keysAt + key, k, f, sums + c, mixedLine, m.keyDim);
        }
      }
    }
  }
  // What the group has now, where the next micro-batch looks for it.
  for (let i = max(first, next - (position + next - first) % GROUP); i < next; i++) {
    const slot = <usize>((position + i - first) % GROUP), from = <usize>(head / share) * keyBytes, bytes = <usize>((headEnd - head) / share) * keyBytes;
    memory.copy(keys + slot * keysAt + from, m.qkv + <usize>i * qkvLine + keysAt + from, bytes);
    memory.copy(decays + (slot * <usize>m.valueHeads + <usize>head << 2), m.a + <usize>i * gateLine(m) + (<usize>head << 2), <usize>(headEnd - head) << 2);
  }
}

@inline function gateLine(m: Model): usize {
  return <usize>((m.valueHeads + 7) & ~7) << 2;
}

/** The factors of row i, of which `seen` rows of the same session come before it in the micro-batch. `keys` and `decays`: those of head h and the group's first position. */
function prepare(m: Model, keys: usize, decays: usize, position: i32, i: i32, seen: i32, h: i32, factors: usize): void {
  const keyBytes = <usize>m.keyDim << 2, keysAt = <usize>m.keyHeads * keyBytes, qkvLine = (keysAt << 1) + (<usize>m.valueHeads * <usize>m.valueDim << 2);
  const q = m.qkv + <usize>i * qkvLine + <usize>(h / (m.valueHeads / m.keyHeads)) * keyBytes, k = q + keysAt;
  const gate = <usize>i * gateLine(m) + (<usize>h << 2), decay = load<f32>(m.a + gate);
  let since: f32 = 1;
  for (let slot = position % GROUP, j = slot - 1, back = 1; j >= 0; j--, back++) {
    const here = back <= seen, kj = here ? k - <usize>back * qkvLine : keys + <usize>j * keysAt, f = factors + FACTORS_OF + <usize>j * 12;
    store<f32>(f, since * dot(kj, k, m.keyDim), OF_KEY);
    store<f32>(f, since * decay * dot(kj, q, m.keyDim), OF_QUERY);
    store<f32>(f, since * decay, OF_STATE);
    since *= load<f32>(here ? m.a + gate - <usize>back * gateLine(m) : decays + (<usize>j * <usize>m.valueHeads << 2));
  }
  store<f32>(factors, since, BEFORE);
  store<f32>(factors, since * decay, AFTER);
  store<f32>(factors, decay, DECAY);
  store<f32>(factors, load<f32>(m.b + gate), BETA);
  store<f32>(factors, dot(k, q, m.keyDim), KEY_QUERY);
}

/**
 * One position of a stripe, 16 columns of a head's S: writes its e to line `slot` of `sums` and its out. S is read only, in one run.
 */
function attend(s: usize, q: usize, k: usize, v: usize, f: usize, sums: usize, line: usize, slot: i32, out: usize, keyDim: i32): void {
  const end = k + (<usize>keyDim << 2);
  const zero = i32x4(0, 0, 0, 0);
  let r0 = zero, r1 = zero, r2 = zero, r3 = zero, o0 = zero, o1 = zero, o2 = zero, o3 = zero, t: v128;
  for (let p = s; k != end; k += 16, q += 16, p += 256) {
    let ki: v128, qi: v128;
    ki = v128.load32_splat(k, 0); qi = v128.load32_splat(q, 0);
    t = v128.load(p, 0); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 16); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 32); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 48); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
    ki = v128.load32_splat(k, 4); qi = v128.load32_splat(q, 4);
    t = v128.load(p, 64); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 80); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 96); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 112); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
    ki = v128.load32_splat(k, 8); qi = v128.load32_splat(q, 8);
    t = v128.load(p, 128); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 144); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 160); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 176); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
    ki = v128.load32_splat(k, 12); qi = v128.load32_splat(q, 12);
    t = v128.load(p, 192); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(p, 208); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(p, 224); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(p, 240); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
  }
  t = v128.load32_splat(f, BEFORE); r0 = f32x4.mul(t, r0); r1 = f32x4.mul(t, r1); r2 = f32x4.mul(t, r2); r3 = f32x4.mul(t, r3);
  t = v128.load32_splat(f, AFTER); o0 = f32x4.mul(t, o0); o1 = f32x4.mul(t, o1); o2 = f32x4.mul(t, o2); o3 = f32x4.mul(t, o3);
  for (let j = 0, fj = f + FACTORS_OF; j < slot; j++, fj += 12, sums += line) {
    const ki = v128.load32_splat(fj, OF_KEY), qi = v128.load32_splat(fj, OF_QUERY);
    t = v128.load(sums, 0); r0 = f32x4.add(r0, f32x4.mul(t, ki)); o0 = f32x4.add(o0, f32x4.mul(t, qi)); t = v128.load(sums, 16); r1 = f32x4.add(r1, f32x4.mul(t, ki)); o1 = f32x4.add(o1, f32x4.mul(t, qi));
    t = v128.load(sums, 32); r2 = f32x4.add(r2, f32x4.mul(t, ki)); o2 = f32x4.add(o2, f32x4.mul(t, qi)); t = v128.load(sums, 48); r3 = f32x4.add(r3, f32x4.mul(t, ki)); o3 = f32x4.add(o3, f32x4.mul(t, qi));
  }
  const d = v128.load32_splat(f, DECAY), b = v128.load32_splat(f, BETA), c = v128.load32_splat(f, KEY_QUERY);
  r0 = f32x4.mul(b, f32x4.sub(v128.load(v, 0), f32x4.mul(d, r0))); r1 = f32x4.mul(b, f32x4.sub(v128.load(v, 16), f32x4.mul(d, r1)));
  r2 = f32x4.mul(b, f32x4.sub(v128.load(v, 32), f32x4.mul(d, r2))); r3 = f32x4.mul(b, f32x4.sub(v128.load(v, 48), f32x4.mul(d, r3)));
  v128.store(sums, r0, 0); v128.store(sums, r1, 16); v128.store(sums, r2, 32); v128.store(sums, r3, 48);
  o0 = f32x4.add(o0, f32x4.mul(c, r0)); o1 = f32x4.add(o1, f32x4.mul(c, r1)); o2 = f32x4.add(o2, f32x4.mul(c, r2)); o3 = f32x4.add(o3, f32x4.mul(c, r3));
  v128.store(out, o0, 0); v128.store(out, o1, 16); v128.store(out, o2, 32); v128.store(out, o3, 48);
}

/** S of a stripe after a group whose last position has the factors `f`: decayed, and the sum of k e^T with what each has decayed since. Eight columns at a time: more registers there are not. */
function fold(s: usize, k0: usize, k1: usize, k2: usize, k3: usize, f: usize, sums: usize, line: usize, keyDim: i32): void {
  const d = v128.load32_splat(f, AFTER), bytes = <usize>keyDim << 2;
  for (let half: usize = 0; half < 64; half += 32) {
    let t: v128, e = sums + half;
    t = v128.load32_splat(f + FACTORS_OF, OF_STATE);
    const e0a = f32x4.mul(t, v128.load(e)), e0b = f32x4.mul(t, v128.load(e, 16));
    e += line; t = v128.load32_splat(f + FACTORS_OF, 12 + OF_STATE);
    const e1a = f32x4.mul(t, v128.load(e)), e1b = f32x4.mul(t, v128.load(e, 16));
    e += line; t = v128.load32_splat(f + FACTORS_OF, 24 + OF_STATE);
    const e2a = f32x4.mul(t, v128.load(e)), e2b = f32x4.mul(t, v128.load(e, 16));
    e += line;
    const e3a = v128.load(e), e3b = v128.load(e, 16);
    for (let i: usize = 0, p = s + half; i != bytes; i += 16, p += 256) {
      let ki: v128, a: v128, b: v128;
      a = f32x4.mul(v128.load(p, 0), d); b = f32x4.mul(v128.load(p, 16), d);
      ki = v128.load32_splat(i + k0, 0); a = f32x4.add(a, f32x4.mul(ki, e0a)); b = f32x4.add(b, f32x4.mul(ki, e0b));
      ki = v128.load32_splat(i + k1, 0); a = f32x4.add(a, f32x4.mul(ki, e1a)); b = f32x4.add(b, f32x4.mul(ki, e1b));
      ki = v128.load32_splat(i + k2, 0); a = f32x4.add(a, f32x4.mul(ki, e2a)); b = f32x4.add(b, f32x4.mul(ki, e2b));
      ki = v128.load32_splat(i + k3, 0); a = f32x4.add(a, f32x4.mul(ki, e3a)); b = f32x4.add(b, f32x4.mul(ki, e3b));
      v128.store(p, a, 0); v128.store(p, b, 16);
      a = f32x4.mul(v128.load(p, 64), d); b = f32x4.mul(v128.load(p, 80), d);
      ki = v128.load32_splat(i + k0, 4); a = f32x4.add(a, f32x4.mul(ki, e0a)); b = f32x4.add(b, f32x4.mul(ki, e0b));
      ki = v128.load32_splat(i + k1, 4); a = f32x4.add(a, f32x4.mul(ki, e1a)); b = f32x4.add(b, f32x4.mul(ki, e1b));
      ki = v128.load32_splat(i + k2, 4); a = f32x4.add(a, f32x4.mul(ki, e2a)); b = f32x4.add(b, f32x4.mul(ki, e2b));
      ki = v128.load32_splat(i + k3, 4); a = f32x4.add(a, f32x4.mul(ki, e3a)); b = f32x4.add(b, f32x4.mul(ki, e3b));
      v128.store(p, a, 64); v128.store(p, b, 80);
      a = f32x4.mul(v128.load(p, 128), d); b = f32x4.mul(v128.load(p, 144), d);
      ki = v128.load32_splat(i + k0, 8); a = f32x4.add(a, f32x4.mul(ki, e0a)); b = f32x4.add(b, f32x4.mul(ki, e0b));
      ki = v128.load32_splat(i + k1, 8); a = f32x4.add(a, f32x4.mul(ki, e1a)); b = f32x4.add(b, f32x4.mul(ki, e1b));
      ki = v128.load32_splat(i + k2, 8); a = f32x4.add(a, f32x4.mul(ki, e2a)); b = f32x4.add(b, f32x4.mul(ki, e2b));
      ki = v128.load32_splat(i + k3, 8); a = f32x4.add(a, f32x4.mul(ki, e3a)); b = f32x4.add(b, f32x4.mul(ki, e3b));
      v128.store(p, a, 128); v128.store(p, b, 144);
      a = f32x4.mul(v128.load(p, 192), d); b = f32x4.mul(v128.load(p, 208), d);
      ki = v128.load32_splat(i + k0, 12); a = f32x4.add(a, f32x4.mul(ki, e0a)); b = f32x4.add(b, f32x4.mul(ki, e0b));
      ki = v128.load32_splat(i + k1, 12); a = f32x4.add(a, f32x4.mul(ki, e1a)); b = f32x4.add(b, f32x4.mul(ki, e1b));
      ki = v128.load32_splat(i + k2, 12); a = f32x4.add(a, f32x4.mul(ki, e2a)); b = f32x4.add(b, f32x4.mul(ki, e2b));
      ki = v128.load32_splat(i + k3, 12); a = f32x4.add(a, f32x4.mul(ki, e3a)); b = f32x4.add(b, f32x4.mul(ki, e3b));
      v128.store(p, a, 192); v128.store(p, b, 208);
    }
  }
}
