import type { ModelConfig } from '../../models/config.ts';
import { type Arena, Pool } from './arena.ts';
import { StageError, type StageSpec } from './stage.ts';
import type { LayerPlaces } from './weights.ts';

/** Positions in a KV page (wasm/kernel/model.ts). */
export const PAGE = 64;

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
  /** Bytes of keys and values of one position of one layer: keys, then as many of values. */
  keyBytes: number;
  attentionLayers: number;
  pageBytes: number;
  tableBytes: number;
  recurrentBytes: number;
  places: Map<number, LayerPlaces>;
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;

export function stateLayout(config: ModelConfig, { layers }: StageSpec, contextLength: number): StateLayout {
  const keyBytes = config.numKvHeads * config.headDim * 4;
  const places = new Map<number, LayerPlaces>();
  let attentionLayers = 0;
  let recurrentBytes = 0;
  for (let n = layers.first; n < layers.last; n++) {
    places.set(n, { pageOffset: attentionLayers * 2 * PAGE * keyBytes, stateOffset: recurrentBytes });
    if (config.layerTypes[n] === 'full_attention') attentionLayers += 1;
    else recurrentBytes += align(linearStateBytes(config));
  }
  const tableBytes = attentionLayers ? align(Math.ceil(contextLength / PAGE) * 4) : 0;
  return { contextLength, keyBytes, attentionLayers, pageBytes: attentionLayers * 2 * PAGE * keyBytes, tableBytes, recurrentBytes, places };
}

/** Convolution state [taps - 1, channels] and S [valueHeads, keyDim, valueDim]. */
function linearStateBytes({ linear }: ModelConfig): number {
  if (!linear) throw new Error('The configuration has linear attention layers but no shapes for them.');
  const channels = 2 * linear.keyHeads * linear.keyDim + linear.valueHeads * linear.valueDim;
  return 4 * ((linear.convKernel - 1) * channels + linear.valueHeads * linear.keyDim * linear.valueDim);
}

/** The open sessions and their memory. */
export class Sessions {
  readonly layout: StateLayout;
  readonly #arena: Arena;
  readonly #open = new Map<string, Session>();
  readonly #slots: Pool;
  readonly #pages: Pool;

  constructor(arena: Arena, layout: StateLayout) {
    this.#arena = arena;
    this.layout = layout;
    this.#slots = new Pool(arena, layout.tableBytes + layout.recurrentBytes);
    this.#pages = new Pool(arena, layout.pageBytes);
  }

  get bytesInUse(): number {
    return this.#slots.bytesInUse + this.#pages.bytesInUse;
  }

  /** An empty session. Throws `session_exists` or `out_of_memory`. */
  open(id: string): Session {
    if (this.#open.has(id)) throw new StageError('session_exists', `Session ${id} is open already.`);
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
    for (const page of session.pages) this.#pages.give(page);
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
    if (this.layout.attentionLayers === 0) return;
    const counts = wanted.map(({ session, tokens }) => Math.ceil(tokens / PAGE) - session.pages.length);
    const blocks = this.#pages.takeAll(counts.reduce((sum, count) => sum + Math.max(0, count), 0));
    for (const [i, { session }] of wanted.entries()) {
      session.pages.push(...blocks.splice(0, Math.max(0, counts[i]!)));
      new Uint32Array(this.#arena.memory.buffer, session.slot, session.pages.length).set(session.pages);
    }
  }

  /** Address of a session's recurrent state. */
  recurrentState(session: Session): number {
    return session.slot + this.layout.tableBytes;
  }
}
