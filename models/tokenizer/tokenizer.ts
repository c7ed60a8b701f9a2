import { BytePairMerger } from './byte-pair-merger.ts';
import { type AddedToken, readTokenizer, type TokenizerHeader } from './format.ts';
import { ListedMerges, VocabularyMerges } from './merge-rules.ts';
import { toNfc } from './nfc.ts';
import { piecePattern } from './pre-tokenizer.ts';
import { Vocabulary } from './vocabulary.ts';

/** V8 makes longer substrings views of their text; a cached piece would keep a whole prompt alive. */
const CACHED_PIECE_LENGTH = 12;
const CACHE_ENTRIES = 8192;

/** Byte-level BPE. Stateless to its callers: one instance serves any number of requests. */
export class Tokenizer {
  /** Ids from 0 to tokenCount - 1 exist; a model may have padding rows above. */
  readonly tokenCount: number;
  readonly eosId: number | null;
  readonly bosId: number | null;
  /** The model was trained with bosId before every text; encode() does not add it. */
  readonly addBos: boolean;
  readonly addedTokens: readonly AddedToken[];

  readonly #header: TokenizerHeader;
  readonly #vocabulary: Vocabulary;
  readonly #merger: BytePairMerger;
  readonly #pieces: RegExp;
  readonly #addedById: Map<number, AddedToken>;
  readonly #addedByText: Map<string, AddedToken>;
  readonly #addedPattern: RegExp | null;
  readonly #encoder = new TextEncoder();
  readonly #cache = new Map<string, readonly number[]>();

  /** Loads `tokenizer.bin` of a pack and keeps a view of `bytes`. Throws a ModelError when it is not one. */
  static load(bytes: Uint8Array): Tokenizer {
    return new Tokenizer(bytes);
  }

  private constructor(bytes: Uint8Array) {
    const { header, offsets, text, merges } = readTokenizer(bytes);
    this.#header = header;
    this.tokenCount = header.tokenCount;
    this.eosId = header.eosId;
    this.bosId = header.bosId;
    this.addBos = header.addBos;
    this.addedTokens = header.addedTokens;
    this.#addedById = new Map(header.addedTokens.map((token) => [token.id, token]));
    this.#addedByText = new Map(header.addedTokens.map((token) => [token.text, token]));
    this.#addedPattern = anyOf([...this.#addedByText.keys()]);

    const mergeless = new Set(header.mergeless);
    this.#vocabulary = new Vocabulary(text, offsets, (id) => !this.#addedById.has(id) && !mergeless.has(id));
    const rules = merges ? new ListedMerges(merges) : new VocabularyMerges(this.#vocabulary);
    this.#merger = new BytePairMerger(rules, this.#singleByteIds());
    this.#pieces = piecePattern(header.preTokenizer);
  }

  /** Ids of plain text: what is written like an added token (`<|im_start|>`) is text as any other. */
  encode(text: string): number[] {
    const out: number[] = [];
    this.#encodeInto(text, out);
    return out;
  }

  /**
   * Ids of text made by a chat template: added tokens are matched, the leftmost first and the longest of those.
   * `separator` is removed after the matching and before all else: whatever is broken by it is not an added token (see models/template/protect.ts).
   */
  encodeTemplate(text: string, separator = ''): number[] {
    const out: number[] = [];
    const plain = (part: string) => this.#encodeInto(separator ? part.replaceAll(separator, '') : part, out);
    let at = 0;
    if (this.#addedPattern) {
      for (const match of text.matchAll(this.#addedPattern)) {
        plain(text.slice(at, match.index));
        out.push(this.#addedByText.get(match[0])!.id);
        at = match.index + match[0].length;
      }
    }
    plain(text.slice(at));
    return out;
  }

  /** Text of a whole sequence; bytes that are not UTF-8 become U+FFFD. `skipSpecial` leaves out control tokens such as `<|im_end|>`. */
  decode(ids: Iterable<number>, options: { skipSpecial?: boolean } = {}): string {
    const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
    let text = '';
    for (const id of ids) if (!(options.skipSpecial && this.isSpecial(id))) text += decoder.decode(this.bytesOf(id), { stream: true });
    return text + decoder.decode();
  }

  /** The bytes of a token, a view that must not be changed; empty for an id that has none. */
  bytesOf(id: number): Uint8Array {
    return this.#vocabulary.bytesOf(id);
  }

  /** A token alone as text; half a character becomes U+FFFD. */
  tokenText(id: number): string {
    return this.decode([id]);
  }

  /** Id of the token whose text is exactly this, added tokens included. */
  idOf(text: string): number | undefined {
    const added = this.#addedByText.get(text);
    if (added) return added.id;
    const bytes = this.#encoder.encode(text);
    const id = this.#vocabulary.find(bytes, 0, bytes.length);
    return id >= 0 ? id : this.#header.mergeless.find((other) => sameBytes(this.bytesOf(other), bytes));
  }

  /** Whether a token is a control token, which is not part of a text. */
  isSpecial(id: number): boolean {
    return this.#addedById.get(id)?.special ?? false;
  }

  #encodeInto(text: string, out: number[]): void {
    // A lone surrogate has no UTF-8; TextEncoder would make it U+FFFD too, but only after the expressions have seen it.
    const wellFormed = text.toWellFormed();
    const normalized = this.#header.nfc ? toNfc(wellFormed) : wellFormed;
    this.#pieces.lastIndex = 0;
    for (let match = this.#pieces.exec(normalized); match; match = this.#pieces.exec(normalized)) this.#encodePiece(match[0], out);
  }

  #encodePiece(piece: string, out: number[]): void {
    if (piece.length > CACHED_PIECE_LENGTH) {
      this.#merger.encode(this.#encoder.encode(piece), out);
      return;
    }
    let ids = this.#cache.get(piece);
    if (!ids) {
      const fresh: number[] = [];
      this.#merger.encode(this.#encoder.encode(piece), fresh);
      ids = fresh;
      if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
      this.#cache.set(piece, ids);
    }
    for (const id of ids) out.push(id);
  }

  #singleByteIds(): Int32Array {
    const ids = new Int32Array(256).fill(-1);
    for (let id = this.tokenCount - 1; id >= 0; id--) {
      const bytes = this.bytesOf(id);
      if (bytes.length === 1 && !this.#addedById.has(id)) ids[bytes[0]!] = id;
    }
    return ids;
  }
}

/** An alternation of literals that prefers the longest, or null for none. */
function anyOf(literals: string[]): RegExp | null {
  if (literals.length === 0) return null;
  const longestFirst = literals.toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((literal) => literal.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'gu');
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
