import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MAX_ROWS } from '../../wasm/engine/scratch.ts';
import { GROUP, PAGE } from '../../wasm/engine/sessions.ts';
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

it('the engine and the kernels have the same sizes', () => {
  const kernel = (file: string) => readFileSync(new URL(`../../wasm/kernel/${file}`, import.meta.url), 'utf8');
  expect(kernel('delta-rule.ts')).toContain(`const GROUP = ${GROUP};`);
  expect(kernel('delta-rule.ts')).toContain(`m.factors + (<usize>h << ${Math.log2(64 * MAX_ROWS)})`);
  expect(kernel('model.ts')).toMatch(new RegExp(`PAGE\\b.* = ${PAGE};`));
});
