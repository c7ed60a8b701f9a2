import { quantile } from '../machine.ts';
import { generator } from '../random.ts';

export interface Interval {
  mean: number;
  low: number;
  high: number;
}

/** Mean of independent values and its 95 % percentile bootstrap interval (Efron 1979). The same values give the same interval. */
export function bootstrap(values: number[], samples = 2_000): Interval {
  const random = generator(7);
  const means = Array.from({ length: samples }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(random() * values.length)]!;
    return sum / values.length;
  });
  return { mean: values.reduce((sum, value) => sum + value, 0) / values.length, low: quantile(means, 0.025), high: quantile(means, 0.975) };
}
