import { ModelError } from '../model-error.ts';
import { dequantizeBytes } from '../sources/stored-types.ts';
import { tensorGroups } from '../tensors.ts';
import type { PackTensor } from './manifest.ts';
import type { Pack } from './reader.ts';
import { untileBlocks, untileFloats } from './tiles.ts';

/**
 * A pack's tensor as floats, row-major in its manifest's shape: what the engine computes with, for tests and reference decoders. The values of q4_0 and q8_0
 * are exact: integer times half-precision scale, rounded once to float. Throws `ModelError` for an unknown name or a damaged file.
 */
export async function dequantizeTensor(pack: Pack, name: string): Promise<Float32Array> {
  const { manifest } = pack;
  const tensor = manifest.tensors[name];
  const shape = tensorGroups(manifest.config)
    .flatMap((group) => group.tensors)
    .find((candidate) => candidate.name === name);
  if (!tensor || !shape) throw new ModelError(`The pack has no tensor ${name}.`);
  const columns = tensor.shape.at(-1)!;
  const values = new Float32Array(tensor.shape.reduce((product, size) => product * size, 1));
  for (const part of tensor.parts) {
    const file = await pack.file(manifest.files[part.file]!);
    const bytes = file.slice(part.offset, part.offset + part.bytes);
    const floats = shape.storage === 'plain' ? new Float32Array(bytes.buffer) : untilePart(tensor.type, bytes, part.rows, columns);
    values.set(floats, part.row * columns);
  }
  return values;
}

function untilePart(type: PackTensor['type'], bytes: Uint8Array, rows: number, columns: number): Float32Array {
  if (type === 'f32') return untileFloats(new Float32Array(bytes.buffer), rows, columns);
  return dequantizeBytes(type === 'q4_0' ? 'Q4_0' : 'Q8_0', untileBlocks(type, bytes, rows, columns));
}
