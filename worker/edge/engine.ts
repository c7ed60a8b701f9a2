import type { Manifest } from '../../models/pack/manifest.ts';
import type { Pack } from '../../models/pack/reader.ts';
import type { PackStorage } from '../../models/pack/storage.ts';
import { ChatTemplate } from '../../models/template/chat-template.ts';
import { IncrementalDecoder } from '../../models/tokenizer/incremental-decoder.ts';
import { Tokenizer } from '../../models/tokenizer/tokenizer.ts';
import type { GenerateTokenizer } from '../../wasm/engine/generate.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import relaxed from '../../wasm/kernel/build/relaxed.wasm';
import simd from '../../wasm/kernel/build/simd.wasm';
import { AssetsStorage } from './assets-storage.ts';
import type { EdgeConfig, EdgeEnv } from './config.ts';
import { createEventLoop } from './event-loop.ts';
import { R2Storage } from './r2-storage.ts';
import { StepScheduler } from './scheduler.ts';

/** A loaded model, ready to answer. */
export interface Engine {
  manifest: Manifest;
  tokenizer: GenerateTokenizer;
  template: ChatTemplate;
  scheduler: StepScheduler;
  loadMs: number;
}

/** Where the configured pack is read from. Throws when the binding for it is missing. */
export function openStorage(env: EdgeEnv, { pack }: EdgeConfig): PackStorage {
  if (pack.from === 'assets') {
    if (!env.ASSETS)
      throw new Error('The engine Worker has no ASSETS binding: add it to worker/edge/wrangler.toml, or load the pack from R2.');
    return new AssetsStorage(env.ASSETS, pack.prefix);
  }
  if (!env.MODELS)
    throw new Error('The engine Worker has no MODELS bucket: add it to worker/edge/wrangler.toml, or load the pack from assets.');
  return new R2Storage(env.MODELS, pack.prefix);
}

/**
 * Loads everything a chat needs of a pack. Throws an Error that says what is wrong with it.
 * @param now milliseconds
 */
export async function loadEngine(pack: Pack, config: EdgeConfig, now: () => number): Promise<Engine> {
  const started = now();
  const { manifest } = pack;
  if (!manifest.tokenizer) throw new Error(`The pack ${manifest.name} has no tokenizer, so it cannot chat: pack a source that has one.`);
  if (!manifest.chatTemplate) throw new Error(`The pack ${manifest.name} has no chat template: pack a model that was made to chat.`);
  const tokenizer = Tokenizer.load(await pack.file(manifest.tokenizer));
  const template = new ChatTemplate(manifest.chatTemplate, tokenizer);
  const eventLoop = createEventLoop(now);
  const stage = await loadStage({
    modules: { relaxed, simd },
    storage: pack.storage,
    manifest,
    maxBytes: config.maxBytes,
    yieldNow: eventLoop.yieldNow,
  });
  return {
    manifest,
    tokenizer: { bytesOf: (id) => tokenizer.bytesOf(id), decoder: () => new IncrementalDecoder(tokenizer, { skipSpecial: true }) },
    template,
    scheduler: new StepScheduler(stage, { now, yieldNow: eventLoop.turn }),
    loadMs: Math.round(now() - started),
  };
}
