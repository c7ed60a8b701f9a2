import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { ModelError } from '../model-error.ts';

/** A file that is read in pieces. */
export interface RandomAccessFile {
  /** Base name, for messages. */
  name: string;
  /** Bytes. */
  size: number;
  /** Exactly `length` bytes from `offset`, in a buffer of its own. Throws `ModelError` when the file ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a file for reading. Throws `ModelError` when it is missing or is not a file. */
export async function openFile(path: string): Promise<RandomAccessFile> {
  const name = basename(path);
  const handle = await open(path, 'r').catch((cause) => {
    throw new ModelError(`${path} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, { cause });
  });
  const { size } = await handle.stat();
  return { name, size, read: (offset, length) => readExactly(handle, name, size, offset, length), close: () => handle.close() };
}

async function readExactly(handle: FileHandle, name: string, size: number, offset: number, length: number): Promise<Uint8Array> {
  if (offset + length > size) throw new ModelError(`${name} is truncated: it ends at byte ${size}, and ${offset + length} are needed.`);
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw new ModelError(`${name} became shorter while it was read.`);
    done += bytesRead;
  }
  return bytes;
}
