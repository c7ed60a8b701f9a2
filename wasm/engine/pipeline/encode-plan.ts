import { z } from 'zod';
import type { StageSpec } from '../stage.ts';
import { hashText } from './hash.ts';
import type { Plan } from './plan.ts';

/** What of a plan the Workers need that carry it out. */
export interface PlacedPlan {
  /** What all Workers of a pipeline must agree on. */
  hash: string;
  model: string;
  pack: string;
  sessions: number;
  contextLength: number;
  /** State of all sessions in all stages. */
  stateBytes: number;
  stages: { spec: StageSpec; wasmBytes: number }[];
}

const whole = z.number().int().nonnegative();
const encodedSchema = z.object({
  version: z.literal(1),
  model: z.string(),
  pack: z.string(),
  sessions: whole.positive(),
  contextLength: whole.positive(),
  stateBytes: whole,
  /** First and last layer, first and last row of the vocabulary (last ones excluded; no rows: 0, 0), WebAssembly memory. */
  stages: z.array(z.tuple([whole, whole, whole, whole, whole])).min(1),
});

/** A plan as a short text: it is a variable of every Worker that takes part, and all must have the same. */
export function encodePlan({ model, pack, sessions, contextLength, stages }: Plan): string {
  const encoded: z.infer<typeof encodedSchema> = {
    version: 1,
    model,
    pack,
    sessions,
    contextLength,
    stateBytes: stages.reduce((sum, stage) => sum + stage.stateBytes, 0),
    stages: stages.map(({ spec: { layers, head }, wasmBytes }) => [
      layers.first,
      layers.last,
      head?.first ?? 0,
      head?.last ?? 0,
      wasmBytes,
    ]),
  };
  return JSON.stringify(encoded);
}

/** Throws an Error for text that is no plan of this version. */
export function decodePlan(text: string): PlacedPlan {
  const { stages, version, ...plan } = parse(text);
  return {
    ...plan,
    hash: planHash(text),
    stages: stages.map(([first, last, firstRow, lastRow, wasmBytes]) => {
      const rows = lastRow > 0 ? { first: firstRow, last: lastRow } : null;
      return { spec: { layers: { first, last }, embed: rows, head: rows }, wasmBytes };
    }),
  };
}

function parse(text: string): z.infer<typeof encodedSchema> {
  try {
    return encodedSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error('NEARSIDE_EDGE_PLAN is no plan of this version: make one with npm run -s models -- plan PACK --json.', { cause });
  }
}

/** What all Workers of a pipeline must agree on. @param plan encoded */
export const planHash = (plan: string): string => hashText(plan);
