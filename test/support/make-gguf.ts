import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('make-gguf.mjs', import.meta.url));

/** Writes a random-weight GGUF with make-gguf.mjs: `tiny` and `small` have twice as many value heads as key heads, and a tokenizer. */
export function makeGguf(path: string, preset: 'tiny' | 'small', type: 'f32' | 'f16' | 'q8_0' | 'q4_0' | 'q4_0_mix'): void {
  execFileSync(process.execPath, [SCRIPT, '--preset', preset, '--type', type, path]);
}
