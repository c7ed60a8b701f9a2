import { tensorGroups } from '../tensors.ts';
import { finerType, packedBytes, packedType } from './layout.ts';
import { type Manifest, PART_ROWS, type PackTensor } from './manifest.ts';

/**
 * What is wrong with the tensors of a manifest, one sentence each; empty when all is well. Checks that every tensor of the configuration is there with its shape
 * and type, that parts follow each other row by row, have the size their rows need, lie inside their file on a 64-byte border, and overlap no other.
 */
export function placeProblems(manifest: Manifest): string[] {
  const problems: string[] = [];
  const places: { name: string; file: number; start: number; end: number }[] = [];
  for (const wanted of tensorGroups(manifest.config).flatMap((group) => group.tensors)) {
    const tensor = manifest.tensors[wanted.name];
    if (!tensor) problems.push(`The tensor ${wanted.name} is missing from the manifest.`);
    else if (String(tensor.shape) !== String(wanted.shape)) {
      problems.push(`The tensor ${wanted.name} has the shape [${tensor.shape}], and [${wanted.shape}] was expected.`);
    } else if (![packedType, finerType].some((typeOf) => tensor.type === typeOf(wanted, manifest.quantization))) {
      problems.push(
        `The tensor ${wanted.name} has the type ${tensor.type}, and ${packedType(wanted, manifest.quantization)} was expected.`,
      );
    } else {
      problems.push(...partProblems(wanted.name, tensor, manifest, (rows) => packedBytes(wanted, tensor.type, rows)));
      for (const part of tensor.parts)
        places.push({ name: wanted.name, file: part.file, start: part.offset, end: part.offset + part.bytes });
    }
  }
  return [...problems, ...overlaps(places)];
}

function partProblems(name: string, tensor: PackTensor, manifest: Manifest, bytesOf: (rows: number) => number): string[] {
  const problems: string[] = [];
  const total = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
  let row = 0;
  for (const part of tensor.parts) {
    const file = manifest.files[part.file];
    if (part.row !== row || part.rows < 1 || row % PART_ROWS) problems.push(`The parts of ${name} do not follow each other at row ${row}.`);
    else if (part.bytes !== bytesOf(part.rows))
      problems.push(`A part of ${name} has ${part.bytes} bytes, and ${bytesOf(part.rows)} were expected.`);
    else if (!file || part.offset < 0 || part.offset % 64 || part.offset + part.bytes > file.bytes)
      problems.push(`A part of ${name} lies outside its file.`);
    row += part.rows;
  }
  if (row !== total) problems.push(`The parts of ${name} have ${row} rows, and ${total} were expected.`);
  return problems;
}

function overlaps(places: { name: string; file: number; start: number; end: number }[]): string[] {
  const sorted = places.toSorted((a, b) => a.file - b.file || a.start - b.start);
  return sorted.flatMap((place, i) => {
    const before = sorted[i - 1];
    return before && before.file === place.file && before.end > place.start
      ? [`${before.name} and ${place.name} overlap in the pack.`]
      : [];
  });
}
