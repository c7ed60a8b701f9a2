import { fileURLToPath } from 'node:url';

/** A model that transformers saved with random weights (test/transformers says how), in Hugging Face layout. */
export const checkpoint = (name: 'qwen3_5-tied' | 'qwen3_5-untied' | 'llama-tied'): string =>
  fileURLToPath(new URL(`../fixtures/transformers/${name}`, import.meta.url));
