import { readFileSync } from 'node:fs';
import { generator } from '../random.ts';
import { apiMix } from './api-mix.ts';
import { judge } from './quality.ts';
import type { SimRequest } from './request.ts';
import type { Scenario } from './scenario.ts';

/** A source of requests: `of` gives those of one run. */
export interface Trace {
  name: string;
  of(scenario: Scenario, run: number): SimRequest[];
}

type Row = Pick<SimRequest, 'at' | 'promptTokens' | 'outputTokens' | 'blocks'>;

/**
 * `api-mix`, or a file: Azure's CSV (TIMESTAMP, ContextTokens, GeneratedTokens) or Mooncake's JSON lines. Throws where it is neither.
 * @param seed of the first run of what is generated
 */
export function openTrace(nameOrFile: string, seed = 1_000): Trace {
  if (nameOrFile === 'api-mix') return { name: 'api-mix', of: (scenario, run) => ofApiMix(scenario, seed + run) };
  const text = readFileSync(nameOrFile, 'utf8');
  const isCsv = text.startsWith('TIMESTAMP,');
  if (!isCsv && !text.startsWith('{')) throw new Error(`${nameOrFile} is no trace: neither Azure's CSV nor Mooncake's JSON lines.`);
  const rows = isCsv ? azureRows(text) : mooncakeRows(text);
  const name = nameOrFile.replace(/^.*\//, '').replace(/\.[a-z]+$/, '');
  return { name, of: (scenario, run) => ofRows(rows, isCsv ? 16 : mooncakeBlock, scenario, run) };
}

function ofApiMix({ requests, requestsPerSecond, originOnlyShare }: Scenario, seed: number): SimRequest[] {
  return apiMix(requests, requestsPerSecond, originOnlyShare, seed);
}

const mooncakeBlock = 512;

function azureRows(text: string): Row[] {
  const lines = text.split(/\r?\n/).slice(1);
  return lines.flatMap((line) => {
    const [time, prompt, output] = line.split(',');
    // Seven decimals of a second are more than a date can hold.
    const at = time ? Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`) : Number.NaN;
    return Number.isFinite(at) && Number(output) > 0
      ? [{ at, promptTokens: Number(prompt), outputTokens: Number(output), blocks: [] }]
      : [];
  });
}

function mooncakeRows(text: string): Row[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const { timestamp, input_length, output_length, hash_ids } = JSON.parse(line) as {
      timestamp: number;
      input_length: number;
      output_length: number;
      hash_ids: number[];
    };
    return { at: timestamp, promptTokens: input_length, outputTokens: Math.max(1, output_length), blocks: hash_ids };
  });
}

/** A stretch of the trace, another one for each run, played so fast that the rate is the scenario's. Chat: all streams, nobody sets a limit, one key. */
function ofRows(rows: Row[], blockTokens: number, { requests, requestsPerSecond, runs }: Scenario, run: number): SimRequest[] {
  const count = Math.min(requests, Math.floor(rows.length / 2));
  const start = Math.floor(((rows.length - count) * run) / Math.max(1, runs - 1));
  const part = rows.slice(start, start + count);
  const first = part[0]!.at;
  const seconds = Math.max(0.001, (part.at(-1)!.at - first) / 1000);
  const speed = count / seconds / requestsPerSecond;
  const random = generator(5_000 + run);
  return part.map((row) => ({
    ...row,
    at: (row.at - first) * speed,
    key: 'chat',
    kind: 'open',
    maxTokens: null,
    stream: true,
    originOnly: false,
    blockTokens,
    judgement: judge('open', random),
  }));
}
