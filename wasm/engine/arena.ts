import { StageError } from './stage.ts';

const WASM_PAGE = 65536;
/** What 32-bit addresses reach. */
const MAX_PAGES = 65536;

/**
 * WebAssembly memory that is only ever added to. The engine's whole memory is one arena: weights and scratch are allocated once, what sessions need comes from
 * pools of blocks of one size. Growing detaches every view of `memory.buffer`, so nobody keeps one over an allocation.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly #maxBytes: number;
  /** The first 64 KiB belong to the kernel module. */
  #top = WASM_PAGE;

  /**
   * @param maxBytes largest size of the memory; whole WebAssembly pages of 64 KiB count.
   * @param shared whether several threads work on it
   */
  constructor(maxBytes: number = MAX_PAGES * WASM_PAGE, shared = false) {
    this.#maxBytes = maxBytes;
    // With a maximum, engines reserve addresses and need not copy when the memory grows.
    const maximum = Math.max(1, Math.min(MAX_PAGES, Math.floor(maxBytes / WASM_PAGE)));
    this.memory = new WebAssembly.Memory({ initial: 1, maximum, shared });
  }

  /** Bytes that can still be allocated. */
  get left(): number {
    return Math.min(MAX_PAGES, Math.floor(this.#maxBytes / WASM_PAGE)) * WASM_PAGE - this.#top;
  }

  /** Size of the memory, in bytes. */
  get bytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Where the next allocation will be. */
  get top(): number {
    return this.#top;
  }

  /** Gives back all that was allocated since `top` was there. What was written stays written. */
  backTo(top: number): void {
    this.#top = top;
  }

  /** Reserves bytes on a 64-byte border, zero where nothing was given back, and returns their address. Throws `StageError` `out_of_memory`, and then nothing has changed. */
  allocate(bytes: number): number {
    const at = this.#top;
    const top = at + Math.ceil(bytes / 64) * 64;
    const missing = Math.ceil((top - this.bytes) / WASM_PAGE);
    if (missing > 0) this.#grow(missing, bytes);
    this.#top = top;
    return at;
  }

  #grow(pages: number, wanted: number): void {
    const size = this.bytes + pages * WASM_PAGE;
    const refused = () =>
      new StageError('out_of_memory', `${wanted} more bytes would make the engine's memory ${size} bytes; its limit is ${this.#maxBytes}.`);
    if (size > this.#maxBytes) throw refused();
    try {
      this.memory.grow(pages);
    } catch {
      throw refused();
    }
  }
}

/** Blocks of one size from an arena. Blocks given back are reused before the arena grows. */
export class Pool {
  readonly blockBytes: number;
  readonly #arena: Arena;
  readonly #spare: Pool | null;
  readonly #free: number[] = [];
  #taken = 0;

  /** @param spare when the arena is used up, unused blocks of this pool are cut into blocks of this one, for good */
  constructor(arena: Arena, blockBytes: number, spare: Pool | null = null) {
    this.#arena = arena;
    this.blockBytes = blockBytes;
    this.#spare = spare;
  }

  /** Bytes of the blocks in use. */
  get bytesInUse(): number {
    return this.#taken * this.blockBytes;
  }

  /** Returns the address of a block, whose content is left over. Throws `StageError` `out_of_memory`. */
  take(): number {
    const at = this.#free.pop() ?? this.#allocate();
    this.#taken += 1;
    return at;
  }

  #allocate(): number {
    try {
      return this.#arena.allocate(this.blockBytes);
    } catch (error) {
      const spare = this.#spare;
      const fitting = spare === null ? 0 : Math.floor(spare.blockBytes / this.blockBytes);
      const block = spare !== null && fitting > 0 ? spare.#free.pop() : undefined;
      if (block === undefined) throw error;
      for (let i = 1; i < fitting; i++) this.#free.push(block + i * this.blockBytes);
      return block;
    }
  }

  /** Takes `count` blocks, or throws `StageError` `out_of_memory` with none taken. */
  takeAll(count: number): number[] {
    const blocks: number[] = [];
    try {
      while (blocks.length < count) blocks.push(this.take());
      return blocks;
    } catch (error) {
      for (const block of blocks) this.give(block);
      throw error;
    }
  }

  /** The arena has taken all blocks back; none is in use. */
  forget(): void {
    this.#free.length = 0;
  }

  give(at: number): void {
    this.#free.push(at);
    this.#taken -= 1;
  }
}
