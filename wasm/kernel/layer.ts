/**
 * A decoder layer over the rows of a micro-batch: x += mixer(norm(x)), then x += mlp(norm(x)). A team (team.ts) shares a product's rows, which are the next step's columns,
 * so what is done to single columns after it (SwiGLU, the residual) needs no barrier; heads are shared by the mixers.
 */
import { attention } from './attention';
import { gatedDeltaNet } from './delta';
import { addTo, rmsNorm, siluTimes } from './math';
import { Layer, Matrix, Model } from './model';
import { input, product, RUN } from './product';
import { barrier, shareEnd, shareFirst } from './team';

@inline function matrix(at: usize): Matrix {
  return changetype<Matrix>(at);
}

/** m.normed = rmsNorm(m.x), which becomes the input of the products that follow. */
function normed(m: Model, weight: usize, count: i32): void {
  const line = <usize>m.hidden << 2;
  for (let i = <usize>shareFirst(count, 1) * line, end = <usize>shareEnd(count, 1) * line; i < end; i += line) rmsNorm(m.x + i, weight, m.normed + i, m.hidden, m.epsilon);
  input(m.normed, m.hidden, count);
}

/** m.x += m.normed, the columns that this member has computed. */
function addResidual(m: Model, count: i32): void {
  const first = shareFirst(m.hidden, RUN), share = shareEnd(m.hidden, RUN) - first, line = <usize>m.hidden << 2;
  for (let i = <usize>first << 2, end = i + <usize>count * line; i < end; i += line) addTo(m.x + i, m.normed + i, share);
}

/** The layer's first half: attention or gated DeltaNet. `rows` lists `count` rows (at most 32), each with its position and its session's state. */
export function mixer(m: Model, layer: Layer, rows: usize, count: i32): void {
  normed(m, layer.inputNorm, count);
  if (layer.qkvProj) {
    product(matrix(layer.qkvProj), m.qkv);
    product(matrix(layer.zProj), m.z);
    product(matrix(layer.bProj), m.b);
    product(matrix(layer.aProj), m.a);
    barrier();
    gatedDeltaNet(m, layer, rows, count);
    input(m.mixed, m.valueHeads * m.valueDim, count);
    product(matrix(layer.outProj), m.normed);
  } else {
    product(matrix(layer.qProj), m.q);
    product(matrix(layer.kProj), m.k);
    product(matrix(layer.vProj), m.v);
    barrier();
    attention(m, layer, rows, count);
    input(m.mixed, m.heads * m.headDim, count);
    product(matrix(layer.oProj), m.normed);
  }
  addResidual(m, count);
}

/** The layer's second half: down(silu(gate x) * up x). */
export function mlp(m: Model, layer: Layer, count: i32): void {
  normed(m, layer.postNorm, count);
  product(matrix(layer.gateProj), m.gate);
  product(matrix(layer.upProj), m.up);
  const first = shareFirst(m.intermediate, RUN), share = shareEnd(m.intermediate, RUN) - first, line = <usize>m.intermediate << 2;
  for (let i = <usize>first << 2, end = i + <usize>count * line; i < end; i += line) siluTimes(m.gate + i, m.gate + i, m.up + i, share);
  input(m.gate, m.intermediate, count);
  product(matrix(layer.downProj), m.normed);
  addResidual(m, count);
}

/** The final norm of `count` rows of m.x, as the input of the head's products (`productRows` over slices of the vocabulary). */
export function finalNorm(m: Model, weight: usize, count: i32): void {
  normed(m, weight, count);
}
