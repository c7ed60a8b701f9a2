import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A folder in Hugging Face layout: Qwen3.5's shape, random weights, tied head. Its recorded logits are those of reference.mjs in float64. */
export const GOLDEN_MODEL = fileURLToPath(new URL('../fixtures/tiny-tied', import.meta.url));

export interface Golden {
  prompts: { ids: number[]; logits: number[][] }[];
  greedy: { ids: number[]; continuation: number[] };
}

export const readGolden = (): Golden => JSON.parse(readFileSync(`${GOLDEN_MODEL}/golden.json`, 'utf8'));
