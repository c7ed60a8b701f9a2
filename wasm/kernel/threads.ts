/**
 * The kernel module for several threads: the exports of index.ts, of which those that a team (team.ts) shares are jobs. Member 0 gives them out by calling such an
 * export, and takes part; the others wait for them in `serve`.
 */
import * as layers from './layer';
import { Layer, Matrix, Model } from './model';
import * as products from './product';
import { int32SumsAreFaster } from './product-q4-relaxed';
import { barrier, JOB, jobBegins, jobEnds, member, team } from './team';

export { checksum } from './checksum';
export { causalConv } from './delta';
export { deltaRule } from './delta-rule';
export { embedRow } from './embed';
export { addSums, multiply, roundByNorm, roundWeights, scoresFrom, storeKey, storeValue } from './kv-int16';
export { largestK, logSumExp } from './logits';
export { exp4Array } from './math';
export { joinTeam } from './team';

/** Kinds of jobs. */
const SCRATCH = 0;
const INPUT = 1;
const PRODUCT = 2;
const MIXER = 3;
const MLP = 4;
const FINAL_NORM = 5;
const WIDE = 6;

/** What all are to do, with these arguments. */
@unmanaged class Job {
  kind: i32;
  a: usize;
  b: i32;
  c: i32;
  d: usize;
  e: i32;
}

/** Gives the others a job, does its own share, and returns when all have done theirs. */
function give(kind: i32, a: usize, b: i32, c: i32, d: usize = 0, e: i32 = 0): void {
  const job = changetype<Job>(team + JOB);
  job.kind = kind;
  job.a = a;
  job.b = b;
  job.c = c;
  job.d = d;
  job.e = e;
  take();
}

/** From one barrier to the next: whoever has met the others at the second has seen the job, and its place is free for another. */
function take(): void {
  barrier();
  if (!member()) jobBegins();
  const job = changetype<Job>(team + JOB);
  switch (job.kind) {
    case SCRATCH: products.setProductScratch(job.a, job.b); break;
    case INPUT: products.input(job.a, job.b, job.c); break;
    case PRODUCT: products.productRows(changetype<Matrix>(job.a), job.b, job.c, job.d, job.e); break;
    case MIXER: layers.mixer(changetype<Model>(job.a), changetype<Layer>(job.b), job.d, job.c); break;
    case MLP: layers.mlp(changetype<Model>(job.a), changetype<Layer>(job.b), job.c); break;
    case WIDE: products.setWideProducts(job.a ? job.a + (<usize>member() << 8) : 0); break;
    case FINAL_NORM: layers.finalNorm(changetype<Model>(job.a), job.b, job.c); break;
  }
  barrier();
  if (!member()) jobEnds();
}

/** The life of every member but the first. Ends by a trap when the team has failed, or with its thread. */
export function serve(): void {
  while (true) take();
}

export function setProductScratch(at: usize, sums: i32): void {
  // One rounds what another multiplies, so one decides for all.
  if (ASC_FEATURE_RELAXED_SIMD) sums = sums || (int32SumsAreFaster() ? 32 : 16);
  give(SCRATCH, at, sums, 0);
}

/** `at`: 256 bytes for each member, or 0. */
export function setWideProducts(at: usize): void {
  give(WIDE, at, 0, 0);
}

export function input(at: usize, width: i32, rows: i32): void {
  give(INPUT, at, width, rows);
}

export function product(w: Matrix, y: usize): void {
  give(PRODUCT, changetype<usize>(w), 0, w.rows, y, products.widthOf(w));
}

export function productRows(w: Matrix, first: i32, count: i32, y: usize, width: i32): void {
  give(PRODUCT, changetype<usize>(w), first, count, y, width);
}

export function mixer(m: Model, layer: Layer, rows: usize, count: i32): void {
  give(MIXER, changetype<usize>(m), <i32>changetype<usize>(layer), count, rows);
}

export function mlp(m: Model, layer: Layer, count: i32): void {
  give(MLP, changetype<usize>(m), <i32>changetype<usize>(layer), count);
}

export function finalNorm(m: Model, weight: usize, count: i32): void {
  give(FINAL_NORM, changetype<usize>(m), <i32>weight, count);
}
