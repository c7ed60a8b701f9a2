import type { HubFile, Repository } from '../hub/hub.ts';
import { ModelError } from '../model-error.ts';
import { isIgnored } from '../sources/safetensors/names.ts';

/** Files in Hugging Face layout that a pack is made from, beside the weights. Only the first is always there. */
export const SMALL_FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];

export const INDEX_FILE = 'model.safetensors.index.json';
const SINGLE_FILE = 'model.safetensors';

/** The GGUF that `--file` names. Throws `ModelError` with the repository's GGUF files when it has no such file. */
export function chooseGguf({ name, files }: Repository, path: string): HubFile {
  const file = files.get(path);
  if (file && path.toLowerCase().endsWith('.gguf')) return file;
  const others = ggufFiles(files);
  throw new ModelError(`${name} has no GGUF file ${path}; ${others.length > 0 ? `it has ${others.join(', ')}` : 'it has none at all'}.`);
}

const ggufFiles = (files: Map<string, HubFile>): string[] =>
  [...files.keys()].filter((path) => path.toLowerCase().endsWith('.gguf')).sort();

/** Throws `ModelError` unless the repository is a model in Hugging Face layout. */
export function requireSafetensors({ name, files }: Repository): void {
  const hasWeights = files.has(SINGLE_FILE) || files.has(INDEX_FILE);
  if (hasWeights && files.has('config.json')) return;
  const ggufs = ggufFiles(files);
  if (ggufs.length > 0) throw new ModelError(`${name} holds GGUF files; choose one with --file: ${ggufs.join(', ')}.`);
  throw new ModelError(`${name} has no ${hasWeights ? 'config.json' : SINGLE_FILE}, so it is not a model in Hugging Face layout.`);
}

/**
 * The weight files to fetch: all, or only those that hold something of the text model, since the vision tower and the prediction head of large models have files
 * of their own. Within a file nothing is left out: its published hash covers all of it, and a file with holes could not be checked.
 * @param weightMap tensor name -> file, of a model with an index; null for a model in one file
 */
export function chooseWeights({ name, files }: Repository, weightMap: Record<string, string> | null, all: boolean): HubFile[] {
  const needed = weightMap
    ? Object.entries(weightMap).flatMap(([tensor, path]) => (all || tensor === 'lm_head.weight' || !isIgnored(tensor) ? [path] : []))
    : [SINGLE_FILE];
  return [...new Set(needed)].sort().map((path) => {
    const file = files.get(path);
    if (!file || path.includes('/'))
      throw new ModelError(`The index of ${name} names the file ${path}, which the repository does not have.`);
    return file;
  });
}
