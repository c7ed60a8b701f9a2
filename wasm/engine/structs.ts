/**
 * The records the kernels read (wasm/kernel/model.ts): field names in the order of that file, 4 bytes each. A test compares the two.
 */
export const PART = ['firstRow', 'rows', 'data'] as const;
export const MATRIX = ['type', 'rows', 'columns', 'partCount', 'parts'] as const;
export const MODEL = [
  ...(['hidden', 'intermediate', 'heads', 'kvHeads', 'headDim', 'rotaryDim', 'epsilon', 'gated', 'int16Kv'] as const),
  ...(['keyHeads', 'valueHeads', 'keyDim', 'valueDim', 'taps'] as const),
  ...(['x', 'normed', 'q', 'k', 'v', 'mixed', 'running', 'scores', 'sums'] as const),
  ...(['qkv', 'z', 'b', 'a', 'factors', 'gate', 'up', 'cos', 'sin'] as const),
] as const;
export const LAYER = [
  ...(['inputNorm', 'postNorm', 'gateProj', 'upProj', 'downProj'] as const),
  ...(['qProj', 'kProj', 'vProj', 'oProj', 'qNorm', 'kNorm', 'pageOffset'] as const),
  ...(['qkvProj', 'zProj', 'bProj', 'aProj', 'conv', 'decay', 'dtBias', 'linearNorm', 'outProj', 'stateOffset'] as const),
] as const;
export const ROW = ['position', 'pages', 'state'] as const;

/** The only field that is no integer. */
const FLOATS = new Set<string>(['epsilon']);

export const structBytes = (fields: readonly string[]): number => fields.length * 4;

/** Writes a record at a byte address. */
export function writeStruct<F extends string>(buffer: ArrayBuffer, at: number, fields: readonly F[], values: Record<F, number>): void {
  const view = new DataView(buffer, at, structBytes(fields));
  fields.forEach((field, i) => {
    if (FLOATS.has(field)) view.setFloat32(i * 4, values[field], true);
    else view.setUint32(i * 4, values[field], true);
  });
}
