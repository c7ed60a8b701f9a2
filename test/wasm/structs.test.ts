import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LAYER, MATRIX, MODEL, PART, ROW } from '../../wasm/engine/structs.ts';

it.each([
  ['Part', PART],
  ['Matrix', MATRIX],
  ['Model', MODEL],
  ['Layer', LAYER],
  ['Row', ROW],
])('the record %s has the same fields in the engine and in the kernels', (name, fields) => {
  const source = readFileSync(new URL('../../wasm/kernel/model.ts', import.meta.url), 'utf8');
  const body = source.slice(source.indexOf(`class ${name} {`)).split('\n}')[0]!;
  const declared = [...body.matchAll(/^ {2}(\w+): (i32|f32|usize);$/gm)].map((match) => match[1]);
  expect(declared).toEqual([...fields]);
});
