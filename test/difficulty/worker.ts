import { createDifficulty, loadDefaultModel } from '../../worker/difficulty/index.ts';

const failures: string[] = [];
const onFailure = (message: string) => failures.push(message);
const difficulty = {
  default: createDifficulty(loadDefaultModel, onFailure),
  corrupt: createDifficulty(async () => new Uint8Array(1000).fill(7), onFailure),
};
const instantiate = WebAssembly.instantiate;

/** Judges the texts of a JSON array in order, `?repeat=N` times over; `?model=corrupt` with a file that is no model. */
export default {
  async fetch(request: Request): Promise<Response> {
    const texts = (await request.json()) as string[];
    const { searchParams } = new URL(request.url);
    const model = searchParams.get('model') === 'corrupt' ? difficulty.corrupt : difficulty.default;
    let predictions: unknown[] = [];
    for (let i = 0; i < Number(searchParams.get('repeat') ?? 1); i++) {
      predictions = [];
      for (const text of texts) predictions.push(await model.predict(text));
    }
    return Response.json({ predictions, failures: failures.splice(0), webAssemblyIntact: WebAssembly.instantiate === instantiate });
  },
};
