/**
 * The kernel module: everything the engine calls. Nothing is allocated here; whoever owns the memory says where things lie.
 *
 * Read on in this order: model.ts (what lies where), layer.ts (a decoder layer), attention.ts and delta.ts (its two mixers), product.ts (W x) and the files
 * it chooses from, logits.ts.
 */
export { checksum } from './checksum';
export { causalConv } from './delta';
export { deltaRule } from './delta-rule';
export { embedRow } from './embed';
export { addSums, multiply, roundByNorm, roundWeights, scoresFrom, storeKey, storeValue } from './kv-int16';
export { finalNorm, mixer, mlp } from './layer';
export { largestK, logSumExp } from './logits';
export { exp4Array } from './math';
export { input, product, productRows, setProductScratch, setWideProducts } from './product';
