/** Newton's method converges in far fewer. */
const MAX_STEPS = 50;
const CONVERGED = 1e-9;

/**
 * Weights of the logistic regression of `good` on `rows` that minimise the log loss plus `ridge` / 2 times the sum of their squares, by Newton's method (Bishop,
 * "Pattern Recognition and Machine Learning", 4.3.3). The first column is the intercept, which is not held down.
 * @param rows [examples][columns]
 */
export function fitLogistic(rows: readonly (readonly number[])[], good: readonly number[], ridge: number): number[] {
  const columns = rows[0]?.length ?? 0;
  const weights = new Array<number>(columns).fill(0);
  const penalty = (column: number): number => (column === 0 ? 1e-6 : ridge);
  for (let step = 0; step < MAX_STEPS; step++) {
    const gradient = weights.map((weight, column) => penalty(column) * weight);
    const hessian = weights.map((_, i) => weights.map((_, j) => (i === j ? penalty(i) : 0)));
    rows.forEach((row, index) => {
      const probability = 1 / (1 + Math.exp(-row.reduce((sum, value, column) => sum + value * weights[column]!, 0)));
      const [error, curvature] = [probability - good[index]!, probability * (1 - probability)];
      for (let i = 0; i < columns; i++) {
        const value = row[i]!;
        if (value === 0) continue;
        gradient[i]! += error * value;
        for (let j = 0; j <= i; j++) hessian[i]![j]! += curvature * value * row[j]!;
      }
    });
    const change = solve(hessian, gradient);
    // Far from the optimum a whole step may overshoot.
    const longest = Math.max(...change.map(Math.abs), 0);
    const scale = longest > 4 ? 4 / longest : 1;
    for (let i = 0; i < columns; i++) weights[i]! -= scale * change[i]!;
    if (longest < CONVERGED) break;
  }
  return weights;
}

/** x with A x = b, for a symmetric positive definite A whose lower triangle is given, by Cholesky's decomposition. */
function solve(a: number[][], b: number[]): number[] {
  const size = b.length;
  const lower = a.map((row) => [...row]);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = lower[i]![j]!;
      for (let k = 0; k < j; k++) sum -= lower[i]![k]! * lower[j]![k]!;
      lower[i]![j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / lower[j]![j]!;
    }
  }
  const y = [...b];
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) y[i]! -= lower[i]![k]! * y[k]!;
    y[i]! /= lower[i]![i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) y[i]! -= lower[k]![i]! * y[k]!;
    y[i]! /= lower[i]![i]!;
  }
  return y;
}
