import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { endsInThinking, thinkingDefault, thinkingOfEffort } from '../../../models/template/thinking.ts';
import { qwen3Files } from '../../support/huggingface-tokenizer.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/templates/${name}.jinja`, import.meta.url), 'utf8');

describe('thinkingDefault', () => {
  it('is what the template does when nothing is asked for', () => {
    expect(thinkingDefault(fixture('qwen35'))).toBe(false);
    expect(
      thinkingDefault(fixture('qwen35').replace('enable_thinking is defined and enable_thinking is true', 'enable_thinking is not false')),
    ).toBe(true);
    expect(thinkingDefault(JSON.parse(qwen3Files().tokenizerConfig).chat_template)).toBe(true);
  });

  it('is null for templates without thinking and templates that fail', () => {
    expect(thinkingDefault(fixture('chatml'))).toBeNull();
    expect(thinkingDefault("{{ raise_exception('no') }}")).toBeNull();
    expect(thinkingDefault('{% if %}')).toBeNull();
  });
});

describe('thinkingOfEffort', () => {
  it.each([
    ['none', false],
    ['minimal', true],
    ['high', true],
    [null, undefined],
    [undefined, undefined],
  ])('%s is %s', (effort, expected) => {
    expect(thinkingOfEffort(effort)).toBe(expected);
  });
});

describe('endsInThinking', () => {
  it.each([
    ['assistant\n<think>\n', true],
    ['assistant\n<think>', true],
    ['assistant\n<think>\n\n</think>\n\n', false],
    ['<think>\nold\n</think>\nassistant\n<think>\n', true],
    ['assistant\n', false],
  ])('%j: %s', (prompt, expected) => {
    expect(endsInThinking(prompt)).toBe(expected);
  });
});
