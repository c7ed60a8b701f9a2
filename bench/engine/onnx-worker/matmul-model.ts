/** A weight matrix of 4-bit values in blocks of 32. */
export interface Product {
  rows: number;
  columns: number;
  /** 0: floats; 4: activations may be rounded to int8. */
  accuracyLevel: number;
}

/**
 * An ONNX file of one MatMulNBits with random weights as initializers, so that the runtime may prepare them; field numbers from onnx.proto3.
 * Input `x` [tokens, columns], output `y` [tokens, rows].
 */
export function matMulNBits({ rows, columns, accuracyLevel }: Product): Uint8Array {
  const blocks = columns / 32;
  const weights = new Uint8Array(rows * blocks * 16);
  for (let i = 0, state = 1; i < weights.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    weights[i] = state >>> 24;
  }
  const scales = new Uint8Array(new Float32Array(rows * blocks).fill(0.01).buffer);
  const attributes = { K: columns, N: rows, bits: 4, block_size: 32, accuracy_level: accuracyLevel };
  const node = [
    ...['x', 'weights', 'scales'].map((name) => text(1, name)),
    text(2, 'y'),
    text(4, 'MatMulNBits'),
    ...Object.entries(attributes).map(([name, value]) => message(5, [text(1, name), integer(3, value), integer(20, 2)])),
    text(7, 'com.microsoft'),
  ];
  const value = (name: string) => [text(1, name), message(2, [message(1, [integer(1, FLOAT)])])];
  const graph = [
    message(1, node),
    text(2, 'product'),
    message(5, tensor('weights', UINT8, [rows, blocks, 16], weights)),
    message(5, tensor('scales', FLOAT, [rows * blocks], scales)),
    message(11, value('x')),
    message(12, value('y')),
  ];
  const opset = (domain: string, version: number) => message(8, [text(1, domain), integer(2, version)]);
  return join([integer(1, 10), message(7, graph), opset('', 21), opset('com.microsoft', 1)]);
}

/** Element types of TensorProto. */
const FLOAT = 1;
const UINT8 = 2;

function tensor(name: string, type: number, dims: number[], data: Uint8Array): Uint8Array[] {
  return [...dims.map((dim) => integer(1, dim)), integer(2, type), text(8, name), message(9, [data])];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const integer = (field: number, value: number): Uint8Array => Uint8Array.from([...varint(field << 3), ...varint(value)]);

function message(field: number, parts: Uint8Array[]): Uint8Array {
  const content = join(parts);
  return join([Uint8Array.from([...varint((field << 3) | 2), ...varint(content.length)]), content]);
}

const text = (field: number, value: string): Uint8Array => message(field, [new TextEncoder().encode(value)]);
