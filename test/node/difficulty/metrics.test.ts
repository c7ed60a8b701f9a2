import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LabelledPrompt, readPrompts, withoutOptions } from '../../../bench/routing/dataset.ts';
import { measure, rank, reliability, resample } from '../../../bench/routing/metrics.ts';

const prompt = (weakCorrect: 0 | 1, strongCorrect: 0 | 1, task = 'a'): LabelledPrompt => ({
  task,
  text: '',
  weakCorrect,
  strongCorrect,
  fold: 0,
});
/** Half of the prompts gain from the strong model. */
const prompts = [prompt(0, 1), prompt(1, 1), prompt(0, 1, 'b'), prompt(1, 1, 'b')];
const once = [1, 1, 1, 1];

describe('ranking', () => {
  it('of an oracle recovers the gap with the calls that it takes', () => {
    const result = measure(rank([0.9, 0.1, 0.8, 0.2]), prompts, once);
    expect(result).toEqual({ aucHelps: 1, aucFails: 1, apgr: 0.75, cpt50: 0.25, cpt80: 0.4 });
  });

  it('of a constant score is random mixing', () => {
    const result = measure(rank([7, 7, 7, 7]), prompts, once);
    expect(result).toEqual({ aucHelps: 0.5, aucFails: 0.5, apgr: 0.5, cpt50: 0.5, cpt80: 0.8 });
  });

  it('of a score turned round is as bad as an oracle is good', () => {
    const result = measure(rank([0.1, 0.9, 0.2, 0.8]), prompts, once);
    expect(result).toMatchObject({ aucHelps: 0, apgr: 0.25, cpt50: 0.75 });
  });

  it('counts a prompt as often as it was drawn', () => {
    const ties = rank([3, 4, 1, 2]);
    expect(measure(ties, prompts, [2, 1, 0, 1]).aucHelps).toBeCloseTo(0.5);
  });
});

it('draws whole subjects, the same ones on every run', () => {
  const draws = [...resample(prompts, 'subject', 20)].map((counts) => [...counts]);
  for (const [a, b, c, d] of draws) expect([a, c]).toEqual([b, d]);
  expect(draws).toEqual([...resample(prompts, 'subject', 20)].map((counts) => [...counts]));
});

it('sets predicted against observed', () => {
  const [low, high] = reliability([0.1, 0.9, 0.3, 0.7], [0, 1, 0, 0], 2);
  expect([low!.predicted, low!.observed, high!.predicted, high!.observed]).toEqual(
    [0.2, 0, 0.8, 0.5].map((value) => expect.closeTo(value)),
  );
});

describe('labelled prompts', () => {
  const file = join(tmpdir(), `nearside-prompts-${process.pid}.csv`);

  it('are read from CSV and cleaned of what tells the data set', () => {
    writeFileSync(
      file,
      'task,prompt,weak_correct,strong_correct\nmmlu_x,"Is ""a"", or b,\nright?\nA. a\nB. b\nAnswer:",0.0,1.0\ngsm8k,"\'It\\\'s 3?\'",1,0\n',
    );
    const [first, second] = readPrompts(file);
    expect(first).toMatchObject({ task: 'mmlu_x', text: 'Is "a", or b,\nright?\nA. a\nB. b', weakCorrect: 0, strongCorrect: 1 });
    expect(withoutOptions(first!.text)).toBe('Is "a", or b,\nright?');
    expect(second).toMatchObject({ task: 'gsm8k', text: "It's 3?", weakCorrect: 1, strongCorrect: 0 });
  });

  it('say which column is missing', () => {
    writeFileSync(file, 'task,prompt\na,b\n');
    expect(() => readPrompts(file)).toThrow('no column "weak_correct"');
  });
});
