import type { Runtime } from './classifier.ts';

/**
 * onnxruntime-web inside workerd. It wants to fetch and compile its own WebAssembly, and workerd refuses to compile from bytes; so it is given an empty
 * binary, and the instantiation of bytes is answered with the module that the Worker was deployed with.
 *
 * Everything is imported dynamically: importing it at the top would cost every start of the gateway, whether the model is used or not.
 */
export async function loadRuntime(): Promise<Runtime> {
  const [{ default: module }, ort] = await Promise.all([
    import('onnxruntime-web/ort-wasm-simd-threaded.wasm'),
    import('onnxruntime-web/wasm'),
  ]);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = new ArrayBuffer(8);
  return {
    Tensor: ort.Tensor,
    InferenceSession: { create: (model, options) => withModule(module, () => ort.InferenceSession.create(model, options)) },
  };
}

/** Runs `body` while WebAssembly.instantiate answers byte sources, which workerd would refuse anyway, with an instance of `module`. */
async function withModule<T>(module: WebAssembly.Module, body: () => Promise<T>): Promise<T> {
  const original = WebAssembly.instantiate;
  const instantiate = async (source: unknown, imports?: WebAssembly.Imports): Promise<unknown> => {
    if (source instanceof WebAssembly.Module) return original(source, imports);
    return { module, instance: new WebAssembly.Instance(module, imports) };
  };
  WebAssembly.instantiate = instantiate as typeof original;
  try {
    return await body();
  } finally {
    WebAssembly.instantiate = original;
  }
}
