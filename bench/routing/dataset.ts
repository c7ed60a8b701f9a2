import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** A prompt that two models have answered; models/router/train/dataset.py cleans and splits in the same way. */
export interface LabelledPrompt {
  /** Subject, or gsm8k. */
  task: string;
  text: string;
  weakCorrect: 0 | 1;
  strongCorrect: 0 | 1;
  /** 0 to FOLDS - 1. */
  fold: number;
}

const FOLDS = 5;
/** The fold that nothing was trained, chosen or calibrated on. */
export const HELD_OUT = 0;

/** Reads a CSV, gzipped or not, with the columns task, prompt, weak_correct and strong_correct. */
export function readPrompts(path: string): LabelledPrompt[] {
  const bytes = readFileSync(path);
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8');
  const [header, ...rows] = parseCsv(text);
  const columns = ['task', 'prompt', 'weak_correct', 'strong_correct'].map((name) => {
    const index = header?.indexOf(name) ?? -1;
    if (index < 0) throw new Error(`${path} has no column "${name}": it must be a CSV with task, prompt, weak_correct and strong_correct.`);
    return index;
  });
  return rows.map((row) => {
    const [task, prompt, weak, strong] = columns.map((index) => row[index] ?? '') as [string, string, string, string];
    return {
      task,
      text: clean(task, prompt),
      weakCorrect: Number(weak) > 0 ? 1 : 0,
      strongCorrect: Number(strong) > 0 ? 1 : 0,
      fold: fnv1a(task === 'gsm8k' ? prompt : task) % FOLDS,
    };
  });
}

/** The bare question, as a person would ask it. */
export const withoutOptions = (text: string): string => text.split('\nA. ')[0]!;

function clean(task: string, prompt: string): string {
  if (task !== 'gsm8k') return prompt.replace(/\s*Answer:\s*$/, '');
  const quoted = /^(['"])(.*)\1$/s.exec(prompt.trim());
  return quoted
    ? quoted[2]!
        .replaceAll('\\n', '\n')
        .replace(/\\(['"])/g, '$1')
        .trim()
    : prompt.trim();
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** RFC 4180: fields in quotes may hold commas, line breaks and doubled quotes. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1)!.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end !== ',') rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
}
