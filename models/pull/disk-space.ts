import { statfs } from 'node:fs/promises';
import { ModelError } from '../model-error.ts';

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** Throws `ModelError` unless `bytes` more fit on the disk that holds the existing folder `folder`. */
export async function requireSpace(folder: string, bytes: number, stat: typeof statfs = statfs): Promise<void> {
  const { bavail, bsize } = await stat(folder);
  const free = bavail * bsize;
  if (bytes > free)
    throw new ModelError(`${gigabytes(bytes)} are needed in ${folder}, and ${gigabytes(free)} are free; make room or choose another OUT.`);
}

/** Somebody else may fill the disk meanwhile: that error as a `ModelError`, every other as it is. */
export function explainFullDisk(error: unknown): unknown {
  if ((error as NodeJS.ErrnoException | null)?.code !== 'ENOSPC') return error;
  return new ModelError('The disk is full; make room and run the same command again to go on from here.', { cause: error });
}
