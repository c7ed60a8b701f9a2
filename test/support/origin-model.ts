import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A random-weight Qwen3.5 of 6 million parameters as a GGUF for llama.cpp: some 1500 tokens a second on one core, never an end of text, 65536 tokens of
 * context, so that a request can be made to last as long as a test needs.
 * @returns the path of the file, which is written into `folder`
 */
export function makeOriginModel(folder: string): string {
  const file = join(folder, 'origin.gguf');
  const script = fileURLToPath(new URL('./make-gguf.mjs', import.meta.url));
  execFileSync(process.execPath, [script, '--preset', 'small', '--type', 'f16', '--ctx', '65536', file], { stdio: 'pipe' });
  return file;
}
