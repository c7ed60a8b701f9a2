import { describe, expect, it } from 'vitest';
import { isRight, labelled, parseLabels } from '../../../models/capability/fit/labels.ts';

const line = (row: object) => JSON.stringify({ messages: [{ role: 'user', content: 'What is the capital of Peru?' }], ...row });
const parse = (...rows: object[]) => parseLabels(rows.map(line).join('\n'), 'labels.jsonl');

describe('labels', () => {
  it('are read with what the router sees of their prompts', () => {
    const [row] = parse({ good: 1, max_tokens: 20, difficulty: 0.4, logprobs: [-0.1, -2], margins: [3, 0.5] }).map(labelled);
    expect(row).toMatchObject({
      good: 1,
      judged: { kind: 'short-answer', maxTokens: 20, difficulty: { weakFails: 0.4 }, text: { questions: 1, language: 'en' } },
      tokens: [
        { logprob: -0.1, margin: 3 },
        { logprob: -2, margin: 0.5 },
      ],
    });
  });

  it('share a fold when they share a prompt', () => {
    const folds = parse({ good: 1 }, { good: 0 }, { good: true, max_tokens: 3 }).map((row) => labelled(row).fold);
    expect(new Set(folds).size).toBe(1);
    const others = Array.from(
      { length: 200 },
      (_, i) => labelled(parse({ good: 1, messages: [{ role: 'user', content: `Prompt ${i}` }] })[0]!).fold,
    );
    for (let fold = 0; fold < 5; fold++) expect(others.filter((other) => other === fold).length).toBeGreaterThan(20);
  });

  it.each([
    ['no JSON', 'labels.jsonl, line 2: not valid JSON.', `${line({ good: 1 })}\n{`],
    ['no label', 'labels.jsonl, line 1: it has neither good nor expected.', line({})],
    ['a label that is none', 'labels.jsonl, line 1: good', line({ good: 0.5 })],
    ['no messages', 'labels.jsonl, line 1: messages', line({ messages: [], good: 1 })],
    [
      'margins that do not fit',
      'labels.jsonl, line 1: margins and logprobs differ in length.',
      line({ good: 1, logprobs: [-1], margins: [] }),
    ],
    ['a probability instead of its logarithm', 'labels.jsonl, line 1: logprobs.0', line({ good: 1, logprobs: [0.7] })],
  ])('with %s are refused by file and line', (_, message, text) => {
    expect(() => parseLabels(text, 'labels.jsonl')).toThrow(message);
  });

  it('that need an answer say how to get one', () => {
    expect(() => parse({ expected: 'Lima' }).map(labelled)).toThrow('give --answer');
    expect(labelled(parse({ expected: 'Lima', answer: 'Lima' })[0]!).good).toBe(1);
    // A label that was given wins.
    expect(labelled(parse({ expected: 'Lima', answer: 'Lima', good: 0 })[0]!).good).toBe(0);
  });
});

it.each([
  ['exact', ' Lima\n', 'Lima', 1],
  ['exact', 'It is Lima.', 'Lima', 0],
  ['exact', 'lima', 'Lima', 0],
  ['contains', 'It is lima.', 'Lima', 1],
  ['contains', 'Cusco', ['Lima', 'Cusco'], 1],
  ['number', '3 boxes of 14 make 42 pieces', '42', 1],
  ['number', 'That makes 1,250.50 dollars', '1250.5', 1],
  ['number', 'I cannot say', '42', 0],
] as const)('%s: "%s" against %s', (check, answer, expected, right) => {
  expect(isRight(answer, { check, expected: typeof expected === 'string' ? expected : [...expected] })).toBe(right);
});
