import { askedWords } from './asked-length.ts';
import { constraintsIn } from './constraints.ts';
import { type PromptKind, taskOf } from './prompt-kind.ts';
import { type CharacterCounts, countCharacters } from './script.ts';
import { instructionOf } from './text-sample.ts';

/** What a system prompt tells of the requests under it. */
export interface SystemPrompt {
  task: PromptKind | null;
  askedWords: number | null;
  constraints: number;
  counts: CharacterCounts;
}

/** So many are kept, of some 4 kB at most each: most requests come with one that was there before, and reading it takes as long as all the rest. */
const mostKept = 32;
/** By their text, the least recently used first. */
const kept = new Map<string, SystemPrompt>();

/** Reads a system prompt, as far as it is looked at (text-sample.ts), or knows it. */
export function readSystemPrompt(text: string): SystemPrompt {
  const known = kept.get(text);
  if (known) kept.delete(text);
  const prompt = known ?? read(text);
  kept.set(text, prompt);
  if (kept.size > mostKept) kept.delete(kept.keys().next().value!);
  return prompt;
}

function read(text: string): SystemPrompt {
  const lower = text.toLowerCase();
  const instruction = instructionOf(lower);
  return {
    task: taskOf(instruction, 0),
    askedWords: askedWords(instruction),
    constraints: constraintsIn(lower),
    counts: countCharacters(text),
  };
}
