import { createClassifier, type Difficulty, type DifficultyOptions } from './classifier.ts';
import { loadRuntime } from './runtime.ts';

export type { Difficulty, Prediction } from './classifier.ts';

/**
 * The learned difficulty model, in onnxruntime-web. Nothing is loaded before the first `predict`.
 * @param loadModel the bytes of the ONNX file: `loadDefaultModel`, or a user's own
 */
export function createDifficulty(
  loadModel: DifficultyOptions['loadModel'] = loadDefaultModel,
  onFailure?: DifficultyOptions['onFailure'],
): Difficulty {
  return createClassifier({ loadModel, loadRuntime, onFailure });
}

/** The model that ships with the repository, a module of the Worker's bundle. */
export async function loadDefaultModel(): Promise<Uint8Array> {
  const { default: bytes } = await import('../../models/router/difficulty.onnx');
  return new Uint8Array(bytes);
}
