import { PAGE, type Session, type Sessions } from './sessions.ts';
import { StageError } from './stage.ts';

/**
 * A session as bytes: magic, identity of the stage, position and whether a last hidden state follows (four 32-bit words), the hidden state, the recurrent
 * state, then the pages of keys and values.
 */
const MAGIC = 0x3453534e; // "NSS4"
const HEADER_BYTES = 16;

/** Pieces of memory that make up a session's state, in the order of a snapshot. */
function pieces(session: Session, sessions: Sessions): { at: number; bytes: number }[] {
  const { pageBytes, recurrentBytes } = sessions.layout;
  const list = [{ at: sessions.recurrentState(session), bytes: recurrentBytes }];
  for (const page of session.pages.slice(0, Math.ceil(session.position / PAGE))) list.push({ at: page, bytes: pageBytes });
  return list;
}

/** @param identity what the stage's weights and layers are, as a 32-bit number */
export function takeSnapshot(session: Session, sessions: Sessions, memory: WebAssembly.Memory, identity: number): Uint8Array {
  const list = pieces(session, sessions);
  const hidden = session.hidden ? new Uint8Array(session.hidden.slice().buffer) : new Uint8Array();
  const bytes = new Uint8Array(HEADER_BYTES + hidden.length + list.reduce((sum, piece) => sum + piece.bytes, 0));
  new Uint32Array(bytes.buffer, 0, 4).set([MAGIC, identity, session.position, hidden.length]);
  bytes.set(hidden, HEADER_BYTES);
  let at = HEADER_BYTES + hidden.length;
  for (const piece of list) {
    bytes.set(new Uint8Array(memory.buffer, piece.at, piece.bytes), at);
    at += piece.bytes;
  }
  return bytes;
}

/** Fills an empty session from a snapshot. Throws `bad_snapshot`, or `out_of_memory`. */
export function applySnapshot(
  snapshot: Uint8Array,
  session: Session,
  sessions: Sessions,
  memory: WebAssembly.Memory,
  stage: { identity: number; hiddenBytes: number },
): void {
  const refuse = (what: string) => new StageError('bad_snapshot', `The snapshot ${what}; open the session empty and prefill it again.`);
  if (snapshot.length < HEADER_BYTES) throw refuse('is cut short');
  const header = new DataView(snapshot.buffer, snapshot.byteOffset, HEADER_BYTES);
  const [magic, identity, position, hiddenBytes] = [0, 4, 8, 12].map((offset) => header.getUint32(offset, true)) as [
    number,
    number,
    number,
    number,
  ];
  if (magic !== MAGIC) throw refuse('is none of this engine version');
  if (identity !== stage.identity) throw refuse('is one of another model or stage');
  if (position > sessions.layout.contextLength) throw refuse('is longer than the context');
  if (hiddenBytes !== (position > 0 ? stage.hiddenBytes : 0)) throw refuse('is damaged');
  sessions.reserve([{ session, tokens: position }]);
  session.position = position;
  const list = pieces(session, sessions);
  let at = HEADER_BYTES + hiddenBytes;
  if (snapshot.length !== at + list.reduce((sum, piece) => sum + piece.bytes, 0)) throw refuse('is cut short');
  if (hiddenBytes) session.hidden = new Float32Array(snapshot.slice(HEADER_BYTES, at).buffer);
  for (const piece of list) {
    new Uint8Array(memory.buffer, piece.at, piece.bytes).set(snapshot.subarray(at, at + piece.bytes));
    at += piece.bytes;
  }
}
