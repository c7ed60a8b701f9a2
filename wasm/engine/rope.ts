import type { ModelConfig } from '../../models/config.ts';
import type { Scratch } from './scratch.ts';

/**
 * Cosines and sines for the rows of a micro-batch, [rows, rotaryDim / 2], angles position * theta^(-2j / rotaryDim) (Su et al., "RoFormer", 2021) in double
 * precision: in single, angles of late positions would be off by hundredths.
 */
export function ropeTable(
  { rotaryDim, ropeTheta }: ModelConfig,
  { cos, sin }: Scratch,
): (buffer: ArrayBuffer, positions: number[]) => void {
  const frequencies = Array.from({ length: rotaryDim / 2 }, (_, j) => ropeTheta ** ((-2 * j) / rotaryDim));
  return (buffer, positions) => {
    const cosines = new Float32Array(buffer, cos, positions.length * frequencies.length);
    const sines = new Float32Array(buffer, sin, cosines.length);
    let at = 0;
    for (const position of positions) {
      for (const frequency of frequencies) {
        cosines[at] = Math.cos(position * frequency);
        sines[at] = Math.sin(position * frequency);
        at += 1;
      }
    }
  };
}
