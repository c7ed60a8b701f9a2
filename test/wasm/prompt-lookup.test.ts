import { describe, expect, it } from 'vitest';
import { PromptLookup } from '../../wasm/engine/prompt-lookup.ts';

const lookupOf = (...ids: number[]) => new PromptLookup(ids);

describe('drafts', () => {
  it('are what followed the last three tokens before', () => {
    expect(lookupOf(1, 2, 3, 4, 5, 6, 7, 1, 2, 3).draft(9)).toEqual([4, 5, 6]);
    expect(lookupOf(1, 2, 3, 4, 5, 1, 2, 3).draft(1)).toEqual([4]);
  });

  it('follow the latest occurrence, and new tokens', () => {
    const lookup = lookupOf(1, 2, 3, 4, 4, 1, 2, 3, 5, 5, 1, 2);
    expect(lookup.draft(3)).toEqual([]);
    lookup.push(3);
    expect(lookup.draft(3)).toEqual([5, 5, 1]);
  });

  it('go on with what repeats', () => {
    expect(lookupOf(7, 7, 7, 7).draft(3)).toEqual([7, 7, 7]);
    expect(lookupOf(1, 2, 1, 2, 1).draft(3)).toEqual([2, 1, 2]);
  });

  it('are none where nothing was said before', () => {
    expect(lookupOf(1, 2, 3).draft(3)).toEqual([]);
    expect(lookupOf(1).draft(3)).toEqual([]);
    expect(lookupOf(1, 2, 3, 4, 1, 2, 3).draft(0)).toEqual([]);
    expect(lookupOf(1, 2, 3, 4, 1, 2, 3).draft(-1)).toEqual([]);
  });
});

it('pauses where drafts are mostly wrong, and tries again', () => {
  const ids = Array.from({ length: 30 }, (_, i) => i % 10);
  const lookup = lookupOf(...ids);
  let attempts = 0;
  const attempt = () => {
    if (lookup.draft(3).length === 0) return;
    attempts += 1;
    lookup.judge(0);
  };
  for (let i = 30; i < 60; i++) {
    attempt();
    lookup.push(i % 10);
  }
  expect(attempts).toBeLessThan(6);
  const before = attempts;
  for (let i = 60; i < 160; i++) {
    attempt();
    lookup.push(i % 10);
  }
  expect(attempts).toBeGreaterThan(before);
});
