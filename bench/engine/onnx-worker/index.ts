import { DurableObject } from 'cloudflare:workers';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
import * as ort from 'onnxruntime-web/wasm';
import { matMulNBits, type Product } from './matmul-model.ts';

// workerd compiles no bytes: whatever asks for that gets the imported module, and onnxruntime-web must not try to fetch its own.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = new ArrayBuffer(8);
WebAssembly.instantiate = (async (_source: unknown, imports: WebAssembly.Imports) => {
  const instance = new WebAssembly.Instance(wasm, imports);
  return { instance, module: wasm };
}) as unknown as typeof WebAssembly.instantiate;

interface Question {
  product: Product;
  tokens: number;
  samples: number;
}

/** Answers how long a product takes, in milliseconds, `samples` times after one run that is not counted. */
export class Bench extends DurableObject {
  override async fetch(request: Request): Promise<Response> {
    const { product, tokens, samples } = (await request.json()) as Question;
    const session = await ort.InferenceSession.create(matMulNBits(product), { executionProviders: ['wasm'] });
    const x = new ort.Tensor(
      'float32',
      Float32Array.from({ length: tokens * product.columns }, (_, i) => ((i * 7919) % 200) / 100 - 1),
      [tokens, product.columns],
    );
    const times: number[] = [];
    for (let i = 0; i <= samples; i++) {
      const started = performance.now();
      await session.run({ x });
      if (i > 0) times.push(performance.now() - started);
    }
    await session.release();
    return Response.json(times);
  }
}

interface Env {
  BENCH: DurableObjectNamespace;
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return env.BENCH.get(env.BENCH.idFromName('onnx')).fetch(request);
  },
} satisfies ExportedHandler<Env>;
