import { z } from 'zod';
import { ModelError } from '../model-error.ts';
import { PRE_TOKENIZERS } from './pre-tokenizer.ts';

/**
 * `tokenizer.bin`, the compact tokenizer of a pack. All integers little-endian.
 *
 *   bytes 0-3   "NSTK"
 *   u32         version, 1
 *   u32         length of the header, in bytes
 *   header      JSON, see TokenizerHeader; padded with spaces so that merges start at a multiple of 4
 *   lengths     length of each token in bytes, LEB128, one per id
 *   text        the tokens' bytes, in id order
 *   merges      u32 left id of every merge, then u32 right id of every merge, then u32 result of every merge (absent when a merge's rank is its result's id)
 */
export type TokenizerHeader = z.infer<typeof headerSchema>;

const count = z.int().nonnegative();
const addedTokenSchema = z.object({
  id: count,
  text: z.string(),
  /** Left out of text decoded with skipSpecial. */
  special: z.boolean(),
});
export type AddedToken = z.infer<typeof addedTokenSchema>;

const headerSchema = z.object({
  tokenCount: count,
  preTokenizer: z.enum(PRE_TOKENIZERS),
  /** Text is normalized to NFC before it is cut into pieces. */
  nfc: z.boolean(),
  addedTokens: z.array(addedTokenSchema),
  /** Tokens of several bytes that no merge produces; listed only when a merge's rank is its result's id. */
  mergeless: z.array(count),
  eosId: count.nullable(),
  bosId: count.nullable(),
  /** The model was trained with bosId before every text. */
  addBos: z.boolean(),
  /** Null: the lowest id among the results of all possible merges is the next merge. */
  mergeCount: count.nullable(),
  lengthsBytes: count,
  textBytes: count,
});

/** What the file holds, before writing and after reading. */
export interface TokenizerParts {
  header: Omit<TokenizerHeader, 'mergeCount' | 'lengthsBytes' | 'textBytes' | 'tokenCount'>;
  /** Token id's bytes are text[offsets[id] .. offsets[id + 1]]. */
  offsets: Uint32Array;
  text: Uint8Array;
  merges: MergeTable | null;
}

/** Merge i, in order of priority, makes results[i] of the neighbours left[i], right[i]. */
export interface MergeTable {
  left: Uint32Array;
  right: Uint32Array;
  results: Uint32Array;
}

const MAGIC = 0x4b54534e;
const VERSION = 1;
const PREFIX_BYTES = 12;

export function writeTokenizer(parts: TokenizerParts): Uint8Array {
  const lengths = encodeLengths(parts.offsets);
  const merges = parts.merges;
  const header: TokenizerHeader = {
    ...parts.header,
    tokenCount: parts.offsets.length - 1,
    mergeCount: merges ? merges.results.length : null,
    lengthsBytes: lengths.length,
    textBytes: parts.text.length,
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const unaligned = (PREFIX_BYTES + json.length + lengths.length + parts.text.length) % 4;
  const headerBytes = new Uint8Array(json.length + ((4 - unaligned) % 4)).fill(0x20);
  headerBytes.set(json);
  const sections = [headerBytes, lengths, parts.text];
  if (merges)
    sections.push(...[merges.left, merges.right, merges.results].map((ids) => new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)));

  const file = new Uint8Array(sections.reduce((sum, section) => sum + section.length, PREFIX_BYTES));
  const view = new DataView(file.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, headerBytes.length, true);
  let at = PREFIX_BYTES;
  for (const section of sections) {
    file.set(section, at);
    at += section.length;
  }
  return file;
}

/** Parts of a `tokenizer.bin`; `text` and `merges` are views of `file`. Throws a ModelError when the file is not one or is cut short. */
export function readTokenizer(file: Uint8Array): {
  header: TokenizerHeader;
  offsets: Uint32Array;
  text: Uint8Array;
  merges: MergeTable | null;
} {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < PREFIX_BYTES || view.getUint32(0, true) !== MAGIC)
    throw new ModelError('This is not a tokenizer file of a pack; pack the model again.');
  const version = view.getUint32(4, true);
  if (version !== VERSION)
    throw new ModelError(`The tokenizer file has version ${version}, this program reads version ${VERSION}; pack the model again.`);

  const headerEnd = PREFIX_BYTES + view.getUint32(8, true);
  if (headerEnd > file.length) throw truncated();
  const header = readHeader(file.subarray(PREFIX_BYTES, headerEnd));
  const textStart = headerEnd + header.lengthsBytes;
  const mergesStart = textStart + header.textBytes;
  if (file.length !== mergesStart + 12 * (header.mergeCount ?? 0)) throw truncated();
  // A length takes a byte at least: no table is made for tokens that cannot be there.
  if (header.tokenCount > header.lengthsBytes) throw truncated();

  const offsets = decodeLengths(file.subarray(headerEnd, textStart), header.tokenCount);
  if (offsets[header.tokenCount] !== header.textBytes) throw truncated();
  const merges = header.mergeCount === null ? null : readMerges(file.subarray(mergesStart), header.mergeCount);
  return { header, offsets, text: file.subarray(textStart, mergesStart), merges };
}

function readHeader(bytes: Uint8Array): TokenizerHeader {
  try {
    return headerSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw truncated(cause);
  }
}

const truncated = (cause?: unknown): ModelError =>
  new ModelError('The tokenizer file is cut short or damaged; pack the model again.', { cause });

function readMerges(bytes: Uint8Array, count: number): MergeTable {
  // Views where the file's own place in memory allows it: the listed merges of a large vocabulary are 3 MB.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const section = (index: number) => new Uint32Array(aligned.buffer, aligned.byteOffset + index * 4 * count, count);
  return { left: section(0), right: section(1), results: section(2) };
}

function encodeLengths(offsets: Uint32Array): Uint8Array {
  const out: number[] = [];
  for (let id = 0; id + 1 < offsets.length; id++) {
    let length = offsets[id + 1]! - offsets[id]!;
    while (length >= 128) {
      out.push((length & 127) | 128);
      length >>>= 7;
    }
    out.push(length);
  }
  return Uint8Array.from(out);
}

function decodeLengths(bytes: Uint8Array, count: number): Uint32Array {
  const offsets = new Uint32Array(count + 1);
  let at = 0;
  for (let id = 0; id < count; id++) {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    offsets[id + 1] = offsets[id]! + length;
  }
  return offsets;
}
