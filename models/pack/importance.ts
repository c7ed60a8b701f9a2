/**
 * How much each column of a matrix matters: tensor name -> [columns], the mean square of the values that the column is multiplied with, over some text.
 * Matrices that are missing are quantized without.
 */
export type Importance = ReadonlyMap<string, Float32Array>;
