import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { quantizeQ4, quantizeQ8 } from '../../../models/pack/quantize.ts';
import { dequantizeBytes } from '../../../models/sources/stored-types.ts';

const recorded = JSON.parse(readFileSync(new URL('../../fixtures/gguf-blocks.json', import.meta.url), 'utf8')) as {
  rows: number[];
  quantized: { Q8_0: string; Q4_0: string };
};
const rows = Float32Array.from(recorded.rows);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('quantization', () => {
  test("gives the bytes that Python's gguf package gives", () => {
    expect(hex(quantizeQ8(rows))).toBe(recorded.quantized.Q8_0);
    expect(hex(quantizeQ4(rows))).toBe(recorded.quantized.Q4_0);
  });

  test('q8_0 is off by at most half a step, plus the rounding of the scale', () => {
    const back = dequantizeBytes('Q8_0', quantizeQ8(rows));
    for (let block = 0; block < rows.length; block += 32) {
      const max = Math.max(...rows.subarray(block, block + 32).map(Math.abs));
      for (let i = block; i < block + 32; i++)
        expect(Math.abs(back[i]! - rows[i]!)).toBeLessThanOrEqual((max / 127) * 0.5 + max * 2 ** -11);
    }
  });

  test('rounds half away from zero, as C does and Math.round does not', () => {
    const values = new Float32Array(32);
    values.set([127, 2.5, -2.5, 1.5, -1.5]);
    expect([...new Int8Array(quantizeQ8(values).buffer, 2, 5)]).toEqual([127, 3, -3, 2, -2]);
  });

  test('the largest value of a q4_0 block is kept exactly, whatever its sign', () => {
    for (const largest of [8, -8]) {
      const values = new Float32Array(32).fill(largest / 2);
      values[20] = largest;
      expect([...dequantizeBytes('Q4_0', quantizeQ4(values))]).toEqual([...values]);
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e9])('refuses a weight of %d', (weight) => {
    const values = new Float32Array(32).fill(1);
    values[3] = weight;
    expect(() => quantizeQ4(values)).toThrow(/not a finite number/);
    expect(() => quantizeQ8(values)).toThrow(/not a finite number/);
  });
});
