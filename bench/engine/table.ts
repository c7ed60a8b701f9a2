import type { Measurements, Metric } from './measurement.ts';
import { type Spread, spread } from './measurement.ts';
import { RATIO_KEYS, type Ratio, verdict } from './ratios.ts';

interface Column {
  title: string;
  metric: Metric;
  at: string | number;
}

const COLUMNS: Column[] = [
  { title: 'decode @64', metric: 'decode', at: 64 },
  { title: 'decode @2048', metric: 'decode', at: 2048 },
  { title: '4 at once', metric: 'batch_4', at: 64 },
  { title: 'prefill 64', metric: 'prefill', at: 64 },
  { title: 'TTFT 16 ms', metric: 'ttft_ms', at: 16 },
  { title: 'TTFT 64 ms', metric: 'ttft_ms', at: 64 },
  { title: 'TTFT 256 ms', metric: 'ttft_ms', at: 256 },
  { title: 'RSS MB', metric: 'rss_mb', at: 'peak' },
];

/** One line per engine and thread count: medians, with half the spread between the slowest and the fastest sample. */
export function engineTable(run: Measurements, model: string): string {
  const here = run.all.filter((measurement) => measurement.model === model);
  const columns = COLUMNS.filter(({ metric, at }) => here.some((other) => other.metric === metric && other.at === at));
  const lines = [...new Set(here.filter(({ metric }) => columns.some((c) => c.metric === metric)).map(lineKey))];
  const cell = (line: string, { metric, at }: Column): string => {
    const found = here.find((other) => lineKey(other) === line && other.metric === metric && other.at === at);
    return found ? withSpread(found.samples) : '-';
  };
  return grid([
    [model, ...columns.map(({ title }) => title)],
    ...lines.map((line) => [line, ...columns.map((column) => cell(line, column))]),
  ]);
}

const lineKey = ({ engine, threads }: { engine: string; threads: number }): string =>
  `${engine}, ${threads} thread${threads > 1 ? 's' : ''}`;

function withSpread(samples: number[]): string {
  const { median, low, high, samples: count } = spread(samples);
  return count > 1 ? `${number(median)} ±${(((high - low) / 2 / median) * 100).toFixed(0)}%` : number(median);
}

/** Everything else that was measured of a model: one figure a line. */
export function otherFigures(run: Measurements, model: string): string {
  const shown = new Set(COLUMNS.map(({ metric, at }) => `${metric} ${at}`));
  const rest = run.all.filter((m) => m.model === model && !shown.has(`${m.metric} ${m.at}`));
  return grid(rest.map((m) => [lineKey(m), `${m.metric}, ${m.at}`, withSpread(m.samples)]));
}

export function ratioTable(ratios: Record<string, Ratio>): string {
  const marks = { aim: 'reaches the aim', must: 'ok', missed: 'MISSED' };
  const rows = Object.entries(ratios).map(([key, ratio]) => {
    const sign = ratio.atMost ? '<=' : '>=';
    const result = verdict(ratio);
    return [
      key,
      ratio.value === null ? 'null' : number(ratio.value),
      ratio.spread ? range(ratio.spread) : '',
      `${sign} ${number(ratio.must)}`,
      `${sign} ${number(ratio.aim)}`,
      result ? marks[result] : (ratio.reason ?? ''),
    ];
  });
  return grid([['ratio', 'value', 'by turns', 'must', 'aim', ''], ...rows]);
}

/** What was compared by turns beside the ratios. */
export function otherTurns(run: Measurements): string {
  const rest = run.turns.filter(({ name }) => !(RATIO_KEYS as readonly string[]).includes(name));
  if (rest.length === 0) return '';
  return `${grid(rest.map(({ name }) => [name, number(run.compared(name)!.median), range(run.compared(name)!)]))}\n`;
}

const range = ({ low, high, samples }: Spread): string => `${number(low)} to ${number(high)}, ${samples} pairs`;

const number = (value: number): string => (Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3));

/** Columns padded to their widest cell; the first one to the left. */
export function grid(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!));
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}
