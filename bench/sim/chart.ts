import type { Comparison, Row } from './compare.ts';

const [width, height] = [960, 420];
const panel = { width: 330, height: 290, top: 60 };
const lefts = [70, 500];

interface Axis {
  low: number;
  high: number;
  log: boolean;
}

/** Two panels over the dollars per 1,000 requests: the 95th percentile of the whole time, and the expected quality. The thresholds that were tried are a line. */
export function chartOf(comparison: Comparison): string {
  const { rows, sweep, title, trace } = comparison;
  const all = [...rows, ...sweep];
  const usd = axis(all.map((row) => row.usd), false); // biome-ignore format: one line
  const time = axis(all.map(secondsOf), true); // biome-ignore format: one line
  const quality = axis(all.map((row) => row.quality), false); // biome-ignore format: one line
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11" fill="#222">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(lefts[0]!, 24, escaped(title), 'font-size="14" font-weight="600"'),
    text(lefts[0]!, 42, `Requests: ${escaped(trace)}. Lower left and upper left are better.`, 'fill="#666"'),
    ...drawn(lefts[0]!, '95th percentile of the whole time, s', usd, time, rows, sweep, secondsOf),
    ...drawn(lefts[1]!, 'expected quality', usd, quality, rows, sweep, (row) => row.quality),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

const secondsOf = ({ totalMs }: Row): number => totalMs.p95 / 1000;

function axis(values: number[], log: boolean): Axis {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) return { low: low / 1.15, high: high * 1.15, log };
  const margin = Math.max(0.08 * (high - low), 0.004 * high, 1e-6);
  return { low: Math.max(0, low - margin), high: high + margin, log };
}

function drawn(left: number, label: string, xs: Axis, ys: Axis, rows: Row[], sweep: Row[], value: (row: Row) => number): string[] {
  const x = (row: Row) => left + panel.width * position(row.usd, xs);
  const y = (row: Row) => panel.top + panel.height * (1 - position(value(row), ys));
  const bottom = panel.top + panel.height;
  const line = sweep.filter(({ router }) => router.startsWith('prompt ≤')).map((row) => `${round(x(row))},${round(y(row))}`);
  return [
    `<rect x="${left}" y="${panel.top}" width="${panel.width}" height="${panel.height}" fill="none" stroke="#bbb"/>`,
    text(left, panel.top - 6, label, 'fill="#444"'),
    text(left + panel.width, bottom + 30, 'US dollars per 1,000 requests', 'fill="#444" text-anchor="end"'),
    ...ticks(xs).map((tick) => text(left + panel.width * position(tick, xs), bottom + 15, shown(tick), 'fill="#666" text-anchor="middle"')),
    ...ticks(ys).map((tick) =>
      text(left - 5, panel.top + panel.height * (1 - position(tick, ys)) + 4, shown(tick), 'fill="#666" text-anchor="end"'),
    ),
    `<polyline points="${line.join(' ')}" fill="none" stroke="#999" stroke-dasharray="3 3"/>`,
    ...sweep.map(
      (row) => `<circle cx="${round(x(row))}" cy="${round(y(row))}" r="2.5" fill="#999"><title>${escaped(row.router)}</title></circle>`,
    ),
    ...rows.map((row) => `<circle cx="${round(x(row))}" cy="${round(y(row))}" r="5" fill="${colour(row)}" fill-opacity="0.85"/>`),
    ...labels(rows, x, y, left),
  ];
}

/** Names beside their points, moved down where they would lie on one another. */
function labels(rows: Row[], x: (row: Row) => number, y: (row: Row) => number, left: number): string[] {
  const placed: { x: number; y: number }[] = [];
  return [...rows]
    .sort((a, b) => y(a) - y(b))
    .map((row) => {
      const right = x(row) > left + 0.6 * panel.width;
      const at = { x: x(row) + (right ? -9 : 9), y: y(row) + 4 };
      while (placed.some((other) => Math.abs(other.y - at.y) < 11 && Math.abs(other.x - at.x) < 130)) at.y += 11;
      placed.push(at);
      return text(at.x, at.y, escaped(row.router), `fill="${colour(row)}"${right ? ' text-anchor="end"' : ''}`);
    });
}

const colours: Record<string, string> = { balanced: '#c2185b', latency: '#7b1fa2', cost: '#1565c0', 'edge-first': '#00838f' };
const colour = ({ router }: Row): string => colours[router] ?? '#616161';

const position = (value: number, { low, high, log }: Axis): number =>
  log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);

function ticks({ low, high, log }: Axis): number[] {
  return Array.from({ length: 5 }, (_, i) => (log ? low * (high / low) ** ((i + 0.5) / 5) : low + ((high - low) * (i + 0.5)) / 5));
}

const shown = (value: number): string => Number(value.toPrecision(value < 1 ? 2 : 3)).toString();
const round = (value: number): string => value.toFixed(1);
const text = (x: number, y: number, content: string, more: string): string =>
  `<text x="${round(x)}" y="${round(y)}" ${more}>${content}</text>`;
const escaped = (value: string): string => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
