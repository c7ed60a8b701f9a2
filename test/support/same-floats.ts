/** Whether two arrays hold the same bits. On arrays of a million values `toEqual` takes seconds. */
export function sameFloats(a: Float32Array, b: Float32Array): boolean {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(a).equals(bytes(b));
}
