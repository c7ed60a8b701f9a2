import type { Spread } from '../engine/measurement.ts';
import type { Machine } from '../machine.ts';
import { BARE, DIRECT, OURS, OURS_CHOOSING, PORTKEY, PORTKEY_CHOOSING } from './contenders.ts';
import type { Figures } from './figures.ts';

export interface Facts {
  machine: Machine;
  portkey: string;
  pinned: string;
  /** The cores were kept from sleeping. */
  awake: boolean;
  loadBefore: number;
}

export interface Must {
  what: string;
  value: number | null;
  limit: number;
}

const TABLES: [scenario: string, metrics: string[]][] = [
  ['1 client', ['p50 ms', 'p99 ms', 'requests/s', 'CPU ms']],
  ['1 client, 64 kB', ['p50 ms', 'p99 ms', 'CPU ms']],
  ['32 clients, paced', ['p50 ms', 'p99 ms', 'requests/s', 'CPU ms']],
  ['32 clients, by the clock', ['p50 ms', 'p99 ms', 'requests/s', 'CPU ms']],
  ['1 client, origin takes 20 ms', ['p50 ms', 'p99 ms', 'CPU ms']],
  ['32 clients, paced, origin takes 20 ms', ['p50 ms', 'p99 ms', 'CPU ms']],
  ['32 clients, flat out', ['p50 ms', 'p99 ms', 'requests/s', 'CPU ms']],
  ['1 stream', ['TTFT p50 ms', 'TTFT p99 ms', 'gap p50 ms', 'gap p99 ms', 'token late p50 ms']],
  ['32 streams', ['TTFT p50 ms', 'TTFT p99 ms', 'gap p50 ms', 'gap p99 ms', 'token late p50 ms', 'CPU µs/token']],
  ['memory', ['before MB', 'kB/stream']],
];

/** What the gateway must keep, by what was measured; null where it was not. */
export function musts(figures: Figures, names: string[]): Must[] {
  const all: Must[] = [];
  const added = (scenario: string, contender: string, base: string) => figures.added(contender, base, scenario, 'p50 ms')?.median ?? null;
  const overBare = (scenario: string, note = '') =>
    all.push({ what: `${scenario}: added p50 over the bare Worker${note}, ms`, value: added(scenario, OURS, BARE), limit: 1 });
  const tail = (scenario: string, note = '') => {
    const [ours, direct] = [OURS, DIRECT].map((name) => figures.of(name, scenario, 'p99 ms')?.median ?? Number.NaN);
    all.push({ what: `${scenario}: p99, times the direct p99${note}`, value: ours! / direct!, limit: 3 });
  };
  const share = (scenario: string, ours: string, theirs: string, what: string) => {
    const value = names.includes(theirs) ? added(scenario, ours, DIRECT)! / added(scenario, theirs, DIRECT)! : null;
    all.push({ what: `${scenario}: added p50, part of Portkey's${what}`, value, limit: 0.5 });
  };
  for (const scenario of ['1 client', '32 clients, paced']) {
    overBare(scenario);
    tail(scenario, ', origin that takes no time');
    tail(`${scenario}, origin takes 20 ms`);
    share(scenario, OURS, PORTKEY, ' that chooses, retries and times out nothing');
    share(scenario, OURS_CHOOSING, PORTKEY_CHOOSING, ' that balances, retries and times out; two endpoints each');
  }
  overBare('32 clients, by the clock');
  tail('32 clients, by the clock', ', origin that takes no time');
  return all;
}

/** All tables as text: each contender's figures, and in brackets what it adds to the origin alone. */
export function gatewayTables(figures: Figures, names: string[], facts: Facts): string {
  const { machine, portkey, pinned, awake, loadBefore } = facts;
  const head = `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; workerd ${machine.workerd}, Node ${machine.node}, Portkey ${portkey}; ${machine.date}
${pinned}, ${awake ? 'kept awake' : 'which may sleep'}; load before: ${loadBefore.toFixed(1)}${loadBefore > 0.5 ? ' (the machine is busy: the figures are not worth much)' : ''}
Median of the rounds (smallest - largest) and, after the +, what is added to the origin alone.`;
  const tables = TABLES.map(([scenario, metrics]) => table(figures, names, scenario, metrics)).filter((text) => text !== '');
  const limits = musts(figures, names).map(({ what, value, limit }) => {
    const verdict = value === null ? 'not measured' : `${value.toFixed(2)}, at most ${limit}: ${value <= limit ? 'met' : 'NOT MET'}`;
    return `  ${what.padEnd(118)}${verdict}`;
  });
  return [head, ...tables, `Musts\n${limits.join('\n')}`].join('\n\n');
}

function table(figures: Figures, names: string[], scenario: string, metrics: string[]): string {
  const measured = metrics.filter((metric) => names.some((name) => figures.of(name, scenario, metric)));
  if (measured.length === 0) return '';
  const there = names.filter((name) => measured.some((metric) => figures.of(name, scenario, metric)));
  const rows = there.map((name) => [name, ...measured.map((metric) => cell(figures, name, scenario, metric))]);
  const all = [[scenario, ...measured], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cell(figures: Figures, name: string, scenario: string, metric: string): string {
  const value = figures.of(name, scenario, metric);
  if (!value) return '-';
  const added = name !== DIRECT && / ms$/.test(metric) && metric !== 'CPU ms' ? figures.added(name, DIRECT, scenario, metric) : null;
  return `${range(value)}${added ? ` +${number(added.median)}` : ''}`;
}

const range = ({ median, low, high, samples }: Spread): string =>
  samples > 1 ? `${number(median)} (${number(low)} - ${number(high)})` : number(median);

const number = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));
