import type { Comparison, Row } from './compare.ts';

const seconds = (ms: number): string => (ms / 1000).toFixed(2);
const percent = (part: number): string => (100 * part).toFixed(1);
const money = (usd: number): string => usd.toFixed(usd < 1 ? 4 : 2);
const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(Math.abs(value) < 1 ? 3 : 2)}`;

const columns: [title: string, cell: (row: Row) => string][] = [
  ['', ({ router }) => router],
  ['TTFT p50 s', ({ ttftMs }) => seconds(ttftMs.p50)],
  ['p95', ({ ttftMs }) => seconds(ttftMs.p95)],
  ['p99', ({ ttftMs }) => seconds(ttftMs.p99)],
  ['total p50 s', ({ totalMs }) => seconds(totalMs.p50)],
  ['p95', ({ totalMs }) => seconds(totalMs.p95)],
  ['p99', ({ totalMs }) => seconds(totalMs.p99)],
  ['$ per 1,000', ({ usd }) => money(usd)],
  ['edge %', ({ edge }) => percent(edge)],
  ['escalated %', ({ escalated }) => percent(escalated)],
  ['late %', ({ missed }) => percent(missed)],
  ['failed %', ({ failed }) => percent(failed)],
  ['quality', ({ quality }) => quality.toFixed(3)],
  ['score', ({ score }) => score.toFixed(3)],
  [
    'less balanced [95 %]',
    ({ router, worseBy }) => (router === 'balanced' ? '' : `${signed(worseBy.mean)} [${signed(worseBy.low)}, ${signed(worseBy.high)}]`),
  ],
];

/** A comparison as text, or as a Markdown table. */
export function tableOf({ rows }: Comparison, format: 'text' | 'markdown'): string {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, cell]) => cell(row)))];
  if (format === 'markdown') {
    const line = (row: string[]) => `| ${row.join(' | ')} |`;
    return [line(cells[0]!), line(columns.map((_, i) => (i === 0 ? '---' : '---:'))), ...cells.slice(1).map(line)].join('\n');
  }
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return cells.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')).join('\n');
}

/** What there was to win. */
export function hindsightOf({ hindsight }: Comparison): string {
  if (!hindsight) return '';
  const { runs, threshold, balanced, found, tried, moved, bound } = hindsight;
  const least = bound === null ? '' : ` Nobody can go below ${bound.toFixed(3)}.`;
  return `With hindsight (${runs} runs): best threshold ${threshold.toFixed(3)}, balanced ${balanced.toFixed(3)}, the better of the two with ${moved} of ${tried} requests moved ${found.toFixed(3)}.${least}`;
}

/** Whether `balanced` does what is asked of it here. */
export function verdictOf({ dominating, verdict, bestThreshold }: Comparison): string {
  const first = dominating.length === 0 ? 'No baseline dominates balanced.' : `Balanced is dominated by: ${dominating.join(', ')}.`;
  const against = `the best fixed threshold (${bestThreshold})`;
  const texts = {
    better: `Balanced is better than ${against}.`,
    worse: `Balanced is worse than ${against}.`,
    'no difference': `No difference from ${against} can be told.`,
  };
  return `${first} ${texts[verdict]}`;
}
