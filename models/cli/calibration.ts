import { readFile } from 'node:fs/promises';
import { ModelError } from '../model-error.ts';
import { CALIBRATION_TEXT } from '../pack/calibration-text.ts';
import type { Calibration } from '../pack/pack-model.ts';
import { calibration } from './engine.ts';
import { progressReporter } from './progress.ts';

/** The option --calibrate FILE|none of `pack` and `pull`; without it the built-in text. Throws `ModelError` when the file cannot be read. */
export async function calibrationOption(value: string | undefined, signal: AbortSignal): Promise<Calibration | undefined> {
  if (value === 'none') return undefined;
  const text = value === undefined ? CALIBRATION_TEXT : await readText(value);
  return calibration(text, { onProgress: progressReporter('Calibrating', 'layers'), signal });
}

const readText = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause) => {
    throw new ModelError(`The text ${path} cannot be read: give --calibrate another file, or none.`, { cause });
  });
