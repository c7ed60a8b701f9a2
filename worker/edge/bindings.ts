import type { PackStorage } from '../../models/pack/storage.ts';
import { AssetsStorage } from './assets-storage.ts';
import type { EdgeConfig, EdgeVariables } from './config.ts';
import { R2Storage } from './r2-storage.ts';

/** Bindings and variables of the engine Worker (worker/edge/wrangler.toml). */
export interface EdgeEnv extends EdgeVariables {
  MODELS?: R2Bucket;
  ASSETS?: Fetcher;
  /** One for each stage of the plan, where the model is placed in a pipeline (`StageModel` of worker/edge/stage). */
  [stage: `STAGE_${number}`]: DurableObjectNamespace | undefined;
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
