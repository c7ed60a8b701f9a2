import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { packModel } from '../../models/pack/pack-model.ts';

const GENERATOR = 'test/support/make-gguf.mjs';
const MADE_BY = [GENERATOR, 'models/pack', 'models/sources', 'models/tokenizer'];
/** Eight layers of the Qwen3.5 kind with random weights, a 2048-token tokenizer and an end token that comes now and then: 6 MB, made in a second. */
const OPTIONS = ['--preset', 'small', '--type', 'f16', '--eos', '0'];

/**
 * Makes the random-weight pack that `npm run dev` serves when it is given no model, unless the one at `out` was made by the same code.
 * @param root the checkout. @param out folder of the pack; `out`.key is written beside it
 */
export async function makeFixturePack(root: string, out: string): Promise<void> {
  const key = await codeKey(root);
  if ((await readFile(`${out}.key`, 'utf8').catch(() => '')) === key) return;
  const cache = join(root, '.cache');
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'fixture-'));
  try {
    const gguf = join(work, 'fixture.gguf');
    await promisify(execFile)(process.execPath, [join(root, GENERATOR), ...OPTIONS, gguf]);
    const pack = join(work, 'pack');
    await packModel(gguf, pack, { quantization: 'q8_0', name: 'nearside-fixture', fixture: true });
    await mkdir(dirname(out), { recursive: true });
    await rm(out, { recursive: true, force: true });
    await rename(pack, out);
    await writeFile(`${out}.key`, key);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Changes when anything changes that decides what the pack's bytes are. */
async function codeKey(root: string): Promise<string> {
  const hash = createHash('sha256').update(OPTIONS.join(' '));
  for (const path of MADE_BY) for (const file of await filesUnder(join(root, path))) hash.update(file).update(await readFile(file));
  return hash.digest('hex');
}

async function filesUnder(path: string): Promise<string[]> {
  const names = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => null);
  if (!names) return [path];
  return names
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
