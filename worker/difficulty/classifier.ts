import type * as Ort from 'onnxruntime-web';
import { DENSE_NAMES, promptFeatures } from './features.ts';

/** Probabilities from 0 to 1, calibrated for the pair of models that the classifier was trained on. */
export interface Prediction {
  /** The weak model's answer is wrong. */
  weakFails: number;
  /** The weak model's answer is wrong and the strong one's is right: what escalating would gain. */
  strongHelps: number;
}

export interface Difficulty {
  /**
   * Judges a prompt. The first call loads the model (about half a second in workerd). Null, and never an error, when there is no answer: the model could
   * not be loaded, another request is loading it, or it answered nonsense.
   */
  predict(text: string): Promise<Prediction | null>;
  /** The model is there, so that `predict` takes a millisecond or two. */
  readonly loaded: boolean;
}

export interface DifficultyOptions {
  /** The bytes of an ONNX file with the signature in models/router/README.md. */
  loadModel(): Promise<Uint8Array>;
  loadRuntime(): Promise<Runtime>;
  /** Told once per failed attempt, in one sentence. */
  onFailure?(message: string): void;
  /** Milliseconds; for tests. */
  now?(): number;
}

/** The part of onnxruntime-web that is used. */
export interface Runtime {
  Tensor: typeof Ort.Tensor;
  InferenceSession: { create(model: Uint8Array, options: Ort.InferenceSession.SessionOptions): Promise<Ort.InferenceSession> };
}

/** A request that is cancelled while it loads never finishes loading; after this long another one may try. */
const LOADING_PATIENCE_MS = 10_000;
const RETRY_AFTER_FAILURE_MS = 60_000;

export function createClassifier({ loadModel, loadRuntime, onFailure, now = Date.now }: DifficultyOptions): Difficulty {
  let loaded: { session: Ort.InferenceSession; Tensor: Runtime['Tensor'] } | null = null;
  let notBefore = Number.NEGATIVE_INFINITY;

  const fail = (error: unknown): null => {
    loaded = null;
    notBefore = now() + RETRY_AFTER_FAILURE_MS;
    onFailure?.(`The difficulty model is not used for now: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  };

  return {
    get loaded() {
      return loaded !== null;
    },
    async predict(text) {
      try {
        if (!loaded) {
          // workerd does not let one request wait for another's I/O, so the others go on without an answer.
          if (now() < notBefore) return null;
          notBefore = now() + LOADING_PATIENCE_MS;
          const [{ InferenceSession, Tensor }, model] = await Promise.all([loadRuntime(), loadModel()]);
          const session = await InferenceSession.create(model, { executionProviders: ['wasm'] });
          checkSignature(session);
          loaded = { session, Tensor };
        }
        const { session, Tensor } = loaded;
        const { ids, dense } = promptFeatures(text);
        const { probabilities } = await session.run({
          ids: new Tensor('int32', ids, [ids.length]),
          dense: new Tensor('float32', dense, [1, DENSE_NAMES.length]),
        });
        return readPrediction(probabilities!);
      } catch (error) {
        return fail(error);
      }
    },
  };
}

function checkSignature({ inputNames, outputNames }: Ort.InferenceSession): void {
  const inputs = [...inputNames].sort().join(', ');
  if (inputs !== 'dense, ids' || !outputNames.includes('probabilities')) {
    throw new Error(`it takes (${inputs}) and gives (${outputNames.join(', ')}), but must take (dense, ids) and give (probabilities).`);
  }
}

function readPrediction({ data, type }: Ort.Tensor): Prediction {
  const [weakFails, strongHelps] = data as Float32Array;
  const isProbability = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1;
  if (type !== 'float32' || data.length !== 2 || !isProbability(weakFails) || !isProbability(strongHelps)) {
    throw new Error('its output "probabilities" must be float32 [1, 2] with values from 0 to 1.');
  }
  return { weakFails, strongHelps };
}
