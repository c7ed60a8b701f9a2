import type { CalibrateOptions } from '../../wasm/engine/calibrate.ts';
import type { LoadOptions } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import type { Calibration } from '../pack/pack-model.ts';
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

/** Calibration of q4_0 with a text, on the engine. */
export function calibration(text: string, options: Pick<CalibrateOptions, 'onProgress' | 'signal'>): Calibration {
  return {
    text,
    async run(source, ids, description) {
      const [{ calibrate }, { nodeKernels }] = await Promise.all([
        import('../../wasm/engine/calibrate.ts'),
        import('../../wasm/engine/node-kernel.ts'),
      ]);
      return calibrate(source, ids, { modules: nodeKernels(), description, ...options });
    },
  };
}

/** The planner of pipelines. It is part of the engine, which alone knows what a stage takes. */
export async function pipelinePlanner() {
  const [plan, encode, describe] = await Promise.all([
    import('../../wasm/engine/pipeline/plan.ts'),
    import('../../wasm/engine/pipeline/encode-plan.ts'),
    import('../../wasm/engine/pipeline/describe-plan.ts'),
  ]);
  return { ...plan, ...encode, ...describe };
}
