import { ModelError } from '../model-error.ts';
import type { Pack } from '../pack/reader.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';

/** The pack's tokenizer. Throws `ModelError` when it has none. */
export async function loadTokenizer(pack: Pack): Promise<Tokenizer> {
  const { tokenizer } = pack.manifest;
  if (!tokenizer) throw new ModelError('This pack has no tokenizer, because its source had none; only `logits` works with it.');
  return Tokenizer.load(await pack.file(tokenizer));
}
