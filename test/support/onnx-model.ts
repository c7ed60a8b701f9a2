import * as ort from 'onnxruntime-web/wasm';

/** One input or output of an operator: float32 values in row-major order. */
export interface OnnxTensor {
  data: Float32Array;
  dims: number[];
}

ort.env.wasm.numThreads = 1;

/**
 * Runs one operator of onnxruntime-web on the CPU: an implementation that is not ours, to hold our kernels against.
 * @param operator name within the domain com.microsoft
 * @param attributes integers, strings, or { float } for a float attribute
 * @param inputs in the operator's order; null leaves out an optional one
 * @param outputs how many outputs to ask for
 */
export async function runOnnxOperator(
  operator: string,
  attributes: Record<string, number | string | { float: number }>,
  inputs: (OnnxTensor | null)[],
  outputs: number,
): Promise<OnnxTensor[]> {
  const inputNames = inputs.map((input, index) => (input ? `input${index}` : ''));
  const outputNames = Array.from({ length: outputs }, (_, index) => `output${index}`);
  const model = singleNodeModel(operator, attributes, inputNames, outputNames);
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
  try {
    const feeds: Record<string, ort.Tensor> = {};
    inputs.forEach((input, index) => {
      if (input) feeds[`input${index}`] = new ort.Tensor('float32', input.data, input.dims);
    });
    const results = await session.run(feeds);
    return outputNames.map((name) => ({ data: results[name]!.data as Float32Array, dims: [...results[name]!.dims] }));
  } finally {
    await session.release();
  }
}

/** An ONNX file of a single node, as protobuf; field numbers from onnx.proto3. Shapes are left open. */
function singleNodeModel(
  operator: string,
  attributes: Record<string, number | string | { float: number }>,
  inputs: string[],
  outputs: string[],
): Uint8Array {
  const attribute = ([name, value]: [string, number | string | { float: number }]): number[] => {
    if (typeof value === 'number') return [...text(1, name), ...integer(3, value), ...integer(20, 2)];
    if (typeof value === 'string') return [...text(1, name), ...text(4, value), ...integer(20, 3)];
    return [...text(1, name), ...float(2, value.float), ...integer(20, 1)];
  };
  const node = [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(4, operator),
    ...Object.entries(attributes).flatMap((entry) => message(5, attribute(entry))),
    ...text(7, 'com.microsoft'),
  ];
  const float32Tensor = message(1, integer(1, 1));
  const value = (name: string): number[] => [...text(1, name), ...message(2, float32Tensor)];
  const graph = [
    ...message(1, node),
    ...text(2, operator),
    ...inputs.filter((name) => name !== '').flatMap((name) => message(11, value(name))),
    ...outputs.flatMap((name) => message(12, value(name))),
  ];
  const opset = (domain: string, version: number): number[] => message(8, [...text(1, domain), ...integer(2, version)]);
  return new Uint8Array([...integer(1, 10), ...message(7, graph), ...opset('', 21), ...opset('com.microsoft', 1)]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  return [...bytes, rest];
}

const integer = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];
const float = (field: number, value: number): number[] => [
  ...varint((field << 3) | 5),
  ...new Uint8Array(new Float32Array([value]).buffer),
];
const message = (field: number, bytes: number[]): number[] => [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
const text = (field: number, value: string): number[] => message(field, [...new TextEncoder().encode(value)]);
