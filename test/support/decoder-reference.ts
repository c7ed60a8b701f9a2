import type { ModelConfig } from '../../models/config.ts';

/**
 * Both architectures in plain float64 scalars, one token at a time, on tensors in the pack's names and ready-to-use form. Written from qwen35.md's formulas
 * and Hugging Face's description of Llama; shares no code with the engine. `round` stands for what happens to the input of a quantized matrix,
 * `roundKv` for what attention does where the KV cache keeps integers.
 */
export class ReferenceDecoder {
  readonly #config: ModelConfig;
  readonly #tensors: Map<string, ArrayLike<number>>;
  readonly #round: (x: number[]) => number[];
  readonly #roundKv: KvRounding;
  readonly #keys: number[][][] = [];
  readonly #values: number[][][] = [];
  readonly #inputs: number[][][] = [];
  readonly #states = new Map<string, Float64Array>();
  #position = 0;

  constructor(
    config: ModelConfig,
    tensors: Map<string, ArrayLike<number>>,
    round: (x: number[]) => number[] = (x) => x,
    roundKv: KvRounding = EXACT_KV,
  ) {
    this.#config = config;
    this.#tensors = tensors;
    this.#round = round;
    this.#roundKv = roundKv;
  }

  /** Logits after one more token. */
  step(id: number): number[] {
    const { hiddenSize, tiedHead, layerTypes } = this.#config;
    let x = Array.from({ length: hiddenSize }, (_, i) => this.#tensor('embed')[id * hiddenSize + i]!);
    for (const [n, type] of layerTypes.entries()) {
      const normed = this.#norm(x, `layers.${n}.input_norm`);
      const mixed = type === 'full_attention' ? this.#attention(n, normed) : this.#delta(n, normed);
      x = x.map((value, i) => value + mixed[i]!);
      const inner = this.#norm(x, `layers.${n}.post_norm`);
      const up = this.#matrix(`layers.${n}.up_proj`, inner);
      const gated = this.#matrix(`layers.${n}.gate_proj`, inner).map((value, i) => silu(value) * up[i]!);
      const out = this.#matrix(`layers.${n}.down_proj`, gated);
      x = x.map((value, i) => value + out[i]!);
    }
    this.#position += 1;
    return this.#matrix(tiedHead ? 'embed' : 'head', this.#norm(x, 'norm'));
  }

  #tensor(name: string): ArrayLike<number> {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`no tensor ${name}`);
    return tensor;
  }

  #norm(x: number[], name: string): number[] {
    const weight = this.#tensor(name);
    const r = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + this.#config.rmsNormEps);
    return x.map((value, i) => value * r * weight[i]!);
  }

  #matrix(name: string, input: number[], exact = false): number[] {
    const weight = this.#tensor(name);
    const x = exact ? input : this.#round(input);
    return Array.from({ length: weight.length / x.length }, (_, row) => {
      let sum = 0;
      for (let k = 0; k < x.length; k++) sum += weight[row * x.length + k]! * x[k]!;
      return sum;
    });
  }

  #rotate(head: number[]): number[] {
    const { rotaryDim, ropeTheta } = this.#config;
    const half = rotaryDim / 2;
    return head.map((value, i) => {
      if (i >= rotaryDim) return value;
      const angle = this.#position * ropeTheta ** (-(2 * (i % half)) / rotaryDim);
      return i < half
        ? value * Math.cos(angle) - head[i + half]! * Math.sin(angle)
        : value * Math.cos(angle) + head[i - half]! * Math.sin(angle);
    });
  }

  #attention(n: number, x: number[]): number[] {
    const { architecture, numHeads, numKvHeads, headDim } = this.#config;
    const name = (tensor: string) => `layers.${n}.${tensor}`;
    const gated = architecture === 'qwen3_5';
    const split = (values: number[], width: number) =>
      Array.from({ length: values.length / width }, (_, h) => values.slice(h * width, (h + 1) * width));
    const normed = (head: number[], tensor: string) => this.#rotate(gated ? this.#norm(head, name(tensor)) : head);
    const queries = split(this.#matrix(name('q_proj'), x), gated ? 2 * headDim : headDim);
    this.#keys[n] ??= [];
    this.#values[n] ??= [];
    this.#keys[n].push(split(this.#matrix(name('k_proj'), x), headDim).flatMap((head) => this.#roundKv.key(normed(head, 'k_norm'))));
    this.#values[n].push(split(this.#matrix(name('v_proj'), x), headDim).flatMap(this.#roundKv.value));
    const out = queries.flatMap((query, h) => {
      const at = Math.floor(h / (numHeads / numKvHeads)) * headDim;
      const q = this.#roundKv.key(normed(query.slice(0, headDim), 'q_norm'));
      const values = this.#values[n]!.map((line) => line.slice(at, at + headDim));
      const scores = this.#keys[n]!.map((key) => q.reduce((sum, value, i) => sum + value * key[at + i]!, 0) / Math.sqrt(headDim));
      const weights = this.#roundKv.weights(softmax(scores), values);
      const head = q.map((_, i) => weights.reduce((sum, weight, t) => sum + weight * values[t]![i]!, 0));
      return gated ? head.map((value, i) => value * sigmoid(query[headDim + i]!)) : head;
    });
    return this.#matrix(name('o_proj'), out);
  }

  #delta(n: number, x: number[]): number[] {
    const { keyHeads, valueHeads, keyDim, valueDim, convKernel } = this.#config.linear!;
    const name = (tensor: string) => `layers.${n}.${tensor}`;
    const u = this.#convolve(n, this.#matrix(name('qkv_proj'), x), convKernel);
    const z = this.#matrix(name('z_proj'), x);
    const b = this.#matrix(name('b_proj'), x, true);
    const a = this.#matrix(name('a_proj'), x, true);
    const unit = (v: number[]) => v.map((value) => value / Math.sqrt(v.reduce((sum, w) => sum + w * w, 0) + 1e-6));
    const out = Array.from({ length: valueHeads }, (_, h) => {
      const kh = Math.floor(h / (valueHeads / keyHeads)) * keyDim;
      const q = unit(u.slice(kh, kh + keyDim)).map((value) => value / Math.sqrt(keyDim));
      const k = unit(u.slice(keyHeads * keyDim + kh, keyHeads * keyDim + kh + keyDim));
      const v = u.slice(2 * keyHeads * keyDim + h * valueDim, 2 * keyHeads * keyDim + (h + 1) * valueDim);
      const decay = Math.exp(this.#tensor(name('decay'))[h]! * Math.log1p(Math.exp(a[h]! + this.#tensor(name('dt_bias'))[h]!)));
      const o = this.#deltaRule(`${n}.${h}`, q, k, v, decay, sigmoid(b[h]!));
      return this.#norm(o, name('linear_norm')).map((value, i) => value * silu(z[h * valueDim + i]!));
    }).flat();
    return this.#matrix(name('out_proj'), out);
  }

  #convolve(n: number, raw: number[], taps: number): number[] {
    const past = [...(this.#inputs[n] ?? []), raw].slice(-taps);
    this.#inputs[n] = past;
    const weight = this.#tensor(`layers.${n}.conv`);
    return raw.map((_, c) => silu(past.reduce((sum, line, j) => sum + weight[(taps - past.length + j) * raw.length + c]! * line[c]!, 0)));
  }

  #deltaRule(key: string, q: number[], k: number[], v: number[], decay: number, beta: number): number[] {
    const s = this.#states.get(key) ?? new Float64Array(k.length * v.length);
    this.#states.set(key, s);
    return v.map((value, j) => {
      let memory = 0;
      for (let i = 0; i < k.length; i++) memory += s[i * v.length + j]! * decay * k[i]!;
      let out = 0;
      for (let i = 0; i < k.length; i++) {
        s[i * v.length + j] = s[i * v.length + j]! * decay + k[i]! * beta * (value - memory);
        out += s[i * v.length + j]! * q[i]!;
      }
      return out;
    });
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const silu = (x: number): number => x * sigmoid(x);

function softmax(scores: number[]): number[] {
  const max = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - max));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/** What the integer kernels do to activations: integers per block of 32, scale max|x| / levels. 127 levels (int8) for q4_0, 32767 (int16) for q8_0. */
export const roundActivations =
  (type: 'q4_0' | 'q8_0') =>
  (x: number[]): number[] =>
    x.map((value, i) => {
      const block = x.slice(i - (i % 32), i - (i % 32) + 32);
      const scale = Math.fround(Math.max(...block.map(Math.abs)) / (type === 'q4_0' ? 127 : 32767));
      return scale === 0 ? 0 : Math.round(value / scale) * scale;
    });

/** What attention rounds: a head's key or query, its value, and the weights of positions, whose values are given. */
export interface KvRounding {
  key(head: number[]): number[];
  value(head: number[]): number[];
  weights(weights: number[], values: number[][]): number[];
}

const EXACT_KV: KvRounding = { key: (head) => head, value: (head) => head, weights: (weights) => weights };

const multiplesOf = (unit: number, x: number[]): number[] => x.map((value) => (unit === 0 ? 0 : Math.round(value / unit) * unit));
const largest = (x: number[]): number => Math.max(...x.map(Math.abs));

/**
 * As the cache of a quantized pack does (wasm/kernel/kv-int16.ts): integers whose norm is 32700, for values whose largest is 16383, and a page's weights times their
 * values' scales as integers up to 32767 with a sum of at most 131000.
 */
export const INT16_KV: KvRounding = {
  key: (head) => multiplesOf(Math.fround(Math.fround(Math.sqrt(head.reduce((sum, x) => sum + x * x, 0))) / 32700), head),
  value: (head) => multiplesOf(Math.fround(largest(head) / 16383), head),
  weights: (weights, values) => {
    const scales = values.map((value) => largest(value) / 16383);
    const scaled = weights.map((weight, t) => weight * scales[t]!);
    return scaled.flatMap((_, start) => {
      if (start % 64) return [];
      const page = scaled.slice(start, start + 64);
      const unit = Math.max(page.reduce((sum, x) => sum + x, 0) / 131000, largest(page) / 32767);
      return multiplesOf(unit, page).map((x, t) => (x === 0 ? 0 : x / scales[start + t]!));
    });
  },
};
