import type { ModelConfig } from '../../models/config.ts';
import type { Manifest } from '../../models/pack/manifest.ts';
import { type Arena, Pool } from './arena.ts';
import { type SessionRoom, StageError, type StageSpec } from './stage.ts';
import type { LayerPlaces } from './weights.ts';

/** Positions in a KV page (wasm/kernel/model.ts). */
export const PAGE = 64;

/** Positions after which the delta rule's state is written (wasm/kernel/delta-rule.ts). */
export const GROUP = 4;

export interface Session {
  id: string;
  /** Tokens seen. */
  position: number;
  /** Address of the page table, followed by the recurrent state. */
  slot: number;
  /** Addresses of KV pages, each for 64 positions of all attention layers. */
  pages: number[];
  /** Hidden state after the last layer at the last position [H], where the stage has a head. */
  hidden: Float32Array | null;
  /** True after a step that was stopped in the middle: layers have seen different numbers of tokens. */
  broken: boolean;
}

/** How a session's state is laid out in a stage. */
export interface StateLayout {
  contextLength: number;
  /** Runs of 64 positions of one head in a page: its keys, then its values, head after head and layer after layer (wasm/kernel/kv-f32.ts, kv-int16.ts). */
  runs: number;
  pageBytes: number;
  tableBytes: number;
  recurrentBytes: number;
  places: Map<number, LayerPlaces>;
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Whether keys and values are kept as 16-bit integers. A pack of floats is there for exactness; anything else has lost more in its weights than these lose. */
export const keepsInt16 = ({ quantization, config }: Pick<Manifest, 'quantization' | 'config'>): boolean =>
  quantization !== 'f32' && config.headDim % 8 === 0;

/** @param int16Kv keys and values are kept as 16-bit integers */
export function stateLayout(config: ModelConfig, { layers }: StageSpec, contextLength: number, int16Kv: boolean): StateLayout {
  // One position of one head: floats, or 16-bit integers and their scale.
  const headBytes = int16Kv ? config.headDim * 2 + 4 : config.headDim * 4;
  const runsPerLayer = 2 * config.numKvHeads;
  const places = new Map<number, LayerPlaces>();
  let runs = 0;
  let recurrentBytes = 0;
  for (let n = layers.first; n < layers.last; n++) {
    places.set(n, { pageOffset: runs * PAGE * headBytes, stateOffset: recurrentBytes });
    if (config.layerTypes[n] === 'full_attention') runs += runsPerLayer;
    else recurrentBytes += align(linearStateBytes(config));
  }
  const tableBytes = runs ? align(Math.ceil(contextLength / PAGE) * 4) : 0;
  return { contextLength, runs, pageBytes: runs * PAGE * headBytes, tableBytes, recurrentBytes, places };
}

/** Convolution state [taps - 1, channels], S of each value head, and k, e and decay of a group's positions (wasm/kernel/delta-rule.ts). */
function linearStateBytes({ linear }: ModelConfig): number {
  if (!linear) throw new Error('The configuration has linear attention layers but no shapes for them.');
  const [keys, values] = [linear.keyHeads * linear.keyDim, linear.valueHeads * linear.valueDim];
  const convolution = (linear.convKernel - 1) * (2 * keys + values);
  return 4 * (convolution + linear.keyDim * values + GROUP * (keys + values + linear.valueHeads));
}

/** The open sessions and their memory. */
export class Sessions {
  readonly layout: StateLayout;
  readonly #arena: Arena;
  readonly #open = new Map<string, Session>();
  readonly #slots: Pool;
  readonly #pages: Pool;
  /** How many sessions hold a page, where it is more than one. */
  readonly #holders = new Map<number, number>();
  /** The arena's top before the first session. */
  #start: number | null = null;

  constructor(arena: Arena, layout: StateLayout) {
    this.#arena = arena;
    this.layout = layout;
    this.#slots = new Pool(arena, layout.tableBytes + layout.recurrentBytes);
    // Cached prefixes have a slot each: when they are dropped for want of memory, what is wanted is pages.
    this.#pages = new Pool(arena, layout.pageBytes, this.#slots);
  }

  get bytesInUse(): number {
    return this.#slots.bytesInUse + this.#pages.bytesInUse;
  }

  /** What sessions may have, as long as none is open. */
  get room(): SessionRoom {
    return {
      bytes: this.#arena.left,
      slotBytes: align(this.#slots.blockBytes),
      pageBytes: align(this.#pages.blockBytes),
      pageTokens: PAGE,
    };
  }

  /** An empty session. Throws `session_exists` or `out_of_memory`. */
  open(id: string): Session {
    if (this.#open.has(id)) throw new StageError('session_exists', `Session ${id} is open already.`);
    this.#start ??= this.#arena.top;
    const slot = this.#slots.take();
    new Uint8Array(this.#arena.memory.buffer, slot, this.#slots.blockBytes).fill(0);
    const session: Session = { id, position: 0, slot, pages: [], hidden: null, broken: false };
    this.#open.set(id, session);
    return session;
  }

  close(id: string): void {
    const session = this.#open.get(id);
    if (!session) return;
    this.#open.delete(id);
    this.#slots.give(session.slot);
    for (const page of session.pages) this.#release(page);
    if (this.#open.size === 0) this.#startAnew();
  }

  /** Pages cannot become slots again: one session that had all memory would leave room for itself alone. */
  #startAnew(): void {
    this.#slots.forget();
    this.#pages.forget();
    this.#arena.backTo(this.#start!);
  }

  /**
   * A session in the state of another, or, cut back to its first `tokens`, in the state it was in then. Full pages are shared, since nothing writes to them
   * any more; the page table, the recurrent state and a page that is still being filled are copied. Throws `unknown_session`, `session_exists`, `bad_input`
   * when a recurrent state would have to be cut back, or `out_of_memory`, and then nothing has changed.
   */
  fork(id: string, as: string, tokens?: number): Session {
    const source = this.get(id);
    const position = tokens ?? source.position;
    if (this.#open.has(as)) throw new StageError('session_exists', `Session ${as} is open already.`);
    if (!Number.isInteger(position) || position < 0 || position > source.position)
      throw new StageError('bad_input', `Session ${id} has seen ${source.position} tokens, so there is no state after ${position}.`);
    if (position < source.position && this.layout.recurrentBytes > 0)
      throw new StageError('bad_input', `Session ${id} has a recurrent state at ${source.position} tokens, which cannot be cut back.`);
    const full = Math.floor(position / PAGE);
    const pages = source.pages.slice(0, Math.ceil(position / PAGE));
    const slot = this.#slots.take();
    try {
      if (pages.length > full) pages[full] = this.#copyOfPage(pages[full]!);
    } catch (error) {
      this.#slots.give(slot);
      throw error;
    }
    for (const page of pages.slice(0, full)) this.#holders.set(page, (this.#holders.get(page) ?? 1) + 1);
    const bytes = new Uint8Array(this.#arena.memory.buffer);
    bytes.copyWithin(slot, source.slot, source.slot + this.#slots.blockBytes);
    const hidden = position === source.position ? source.hidden : null;
    const session: Session = { id: as, position, slot, pages, hidden, broken: false };
    this.#writePageTable(session);
    this.#open.set(as, session);
    return session;
  }

  /** Bytes of these sessions' state, as a copy of it would have: without what is set aside. What several share counts once, and ids that are not open count nothing. */
  bytesOf(ids: string[]): number {
    const sessions = ids.flatMap((id) => this.#open.get(id) ?? []);
    const pages = new Set(sessions.flatMap(({ pages, position }) => pages.slice(0, Math.ceil(position / PAGE))));
    return sessions.length * this.#slots.blockBytes + pages.size * this.#pages.blockBytes;
  }

  /** Throws `unknown_session`, also for one that a stopped step has left unusable. */
  get(id: string): Session {
    const session = this.#open.get(id);
    if (!session) throw new StageError('unknown_session', `Session ${id} is not open.`);
    if (session.broken) throw new StageError('unknown_session', `Session ${id} was stopped in the middle of a step; close it.`);
    return session;
  }

  /** Gives sessions the pages for so many tokens. Throws `out_of_memory`, and then none has got any. */
  reserve(wanted: { session: Session; tokens: number }[]): void {
    if (this.layout.runs === 0) return;
    const counts = wanted.map(({ session, tokens }) => Math.ceil(tokens / PAGE) - session.pages.length);
    const blocks = this.#pages.takeAll(counts.reduce((sum, count) => sum + Math.max(0, count), 0));
    for (const [i, { session }] of wanted.entries()) {
      session.pages.push(...blocks.splice(0, Math.max(0, counts[i]!)));
      this.#writePageTable(session);
    }
  }

  /** Clears the pages that a step begins: a snapshot holds whole ones, and nothing may be in them of sessions that had them before. Not before, as most of what is set aside is never used. */
  clearAhead({ position, pages }: Session, tokens: number): void {
    for (const page of pages.slice(Math.ceil(position / PAGE), Math.ceil((position + tokens) / PAGE))) {
      new Uint8Array(this.#arena.memory.buffer, page, this.#pages.blockBytes).fill(0);
    }
  }

  #writePageTable({ slot, pages }: Session): void {
    new Uint32Array(this.#arena.memory.buffer, slot, pages.length).set(pages);
  }

  #copyOfPage(page: number): number {
    const copy = this.#pages.take();
    new Uint8Array(this.#arena.memory.buffer).copyWithin(copy, page, page + this.#pages.blockBytes);
    return copy;
  }

  #release(page: number): void {
    const holders = this.#holders.get(page) ?? 1;
    if (holders === 1) this.#pages.give(page);
    else if (holders === 2) this.#holders.delete(page);
    else this.#holders.set(page, holders - 1);
  }

  /** Address of a session's recurrent state. */
  recurrentState(session: Session): number {
    return session.slot + this.layout.tableBytes;
  }
}
