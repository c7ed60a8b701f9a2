import type { Manifest } from '../../models/pack/manifest.ts';
import type { Pack } from '../../models/pack/reader.ts';
import { ChatTemplate } from '../../models/template/chat-template.ts';
import { IncrementalDecoder } from '../../models/tokenizer/incremental-decoder.ts';
import { Tokenizer } from '../../models/tokenizer/tokenizer.ts';
import { type GenerateTokenizer, PREFILL_CHUNK } from '../../wasm/engine/generate.ts';
import type { LoadOptions } from '../../wasm/engine/loader.ts';
import { PrefixCache } from '../../wasm/engine/prefix-cache.ts';
import type { Stage } from '../../wasm/engine/stage.ts';
import type { EdgeConfig } from './config.ts';
import type { EventLoop } from './event-loop.ts';
import { longestSession, MemoryLine } from './memory-line.ts';
import { StepScheduler } from './scheduler.ts';

/** A loaded model, ready to answer. */
export interface Engine {
  /** The pack's; the context is no longer than the memory is for. */
  manifest: Manifest;
  tokenizer: GenerateTokenizer;
  template: ChatTemplate;
  scheduler: StepScheduler;
  prefixCache: PrefixCache;
  memory: MemoryLine;
  /** Most tokens of a prompt that a generation has evaluated in one step. */
  prefillChunk: number;
  loadMs: number;
}

/** What differs between the places an engine can run in. */
export interface EngineHost {
  /** Loads the whole model with this platform's kernels. */
  loadStage(options: Omit<LoadOptions, 'modules'>): Promise<Stage>;
  eventLoop: EventLoop;
  /** Milliseconds. */
  now(): number;
  /** How long text is held back to go out together, milliseconds; absent: not at all. */
  paceMs?: number;
}

/** Where nothing else is said, cached prefixes take no more than this. */
const MAX_PREFIX_CACHE_BYTES = 256_000_000;

/** Loads everything a chat needs of a pack. Throws an Error that says what is wrong with it. */
export async function loadEngine(pack: Pack, config: EdgeConfig, host: EngineHost): Promise<Engine> {
  const started = host.now();
  const { manifest } = pack;
  if (!manifest.tokenizer) throw new Error(`The pack ${manifest.name} has no tokenizer, so it cannot chat: pack a source that has one.`);
  if (!manifest.chatTemplate) throw new Error(`The pack ${manifest.name} has no chat template: pack a model that was made to chat.`);
  const { yieldNow, turn } = host.eventLoop;
  // The weights are on their way, or loaded by other isolates, while the tokenizer is made.
  const loading = host.loadStage({ storage: pack.storage, manifest, maxBytes: config.maxBytes, yieldNow });
  loading.catch(() => {});
  const tokenizer = Tokenizer.load(await pack.file(manifest.tokenizer));
  const template = new ChatTemplate(manifest.chatTemplate, tokenizer);
  const stage = await loading;
  const { wasmBytes, room } = await stage.memory();
  const contextLength = room === null ? manifest.config.contextLength : Math.min(manifest.config.contextLength, longestSession(room));
  if (contextLength < 2)
    throw new Error(
      `${config.maxBytes} bytes hold the weights of ${manifest.name} but no session beside them: raise NEARSIDE_EDGE_MEMORY_BYTES.`,
    );
  const scheduler: StepScheduler = new StepScheduler(stage, {
    now: host.now,
    yieldNow: turn,
    turns: config.turns,
    answerTurns: config.answerTurns,
    reclaim: () => prefixCache.evict(),
  });
  const prefixCache: PrefixCache = new PrefixCache(scheduler, {
    budgetBytes: config.prefixCacheBytes ?? Math.min(MAX_PREFIX_CACHE_BYTES, (config.maxBytes - wasmBytes) / 2),
    cutBack: manifest.config.layerTypes.every((type) => type === 'full_attention'),
  });
  return {
    manifest: { ...manifest, config: { ...manifest.config, contextLength } },
    tokenizer: { bytesOf: (id) => tokenizer.bytesOf(id), decoder: () => new IncrementalDecoder(tokenizer, { skipSpecial: true }) },
    template,
    scheduler,
    prefixCache,
    memory: new MemoryLine(room),
    prefillChunk: PREFILL_CHUNK * config.turns,
    loadMs: Math.round(host.now() - started),
  };
}
