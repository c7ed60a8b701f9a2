import type { LoadOptions } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import type { Pack } from '../pack/reader.ts';

/**
 * The engine with a whole model. models/ knows nothing of wasm/: this is the one exception, because a command line is a composition root. The import is
 * dynamic so that packing and verifying work before the kernels are built.
 */
export async function loadEngine(pack: Pack, options: Pick<LoadOptions, 'contextLength'>): Promise<LocalStage> {
  const [{ loadStage }, { nodeKernels }] = await Promise.all([
    import('../../wasm/engine/loader.ts'),
    import('../../wasm/engine/node-kernel.ts'),
  ]);
  return loadStage({ modules: nodeKernels(), storage: pack.storage, manifest: pack.manifest, ...options });
}
