import { encodePlan, planHash } from './encode-plan.ts';
import { type Plan, totalBytes } from './plan.ts';

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** A plan for people: a table with a line for each stage. */
export function describePlan(plan: Plan, budgetBytes: number): string[] {
  const rows = plan.stages.map((stage, i) => {
    const { layers, head } = stage.spec;
    const parts = [
      ...(layers.last > layers.first ? [`layers ${layers.first}-${layers.last - 1}`] : []),
      ...(head ? [`rows ${head.first}-${head.last - 1}`] : []),
    ];
    const { weightBytes, stateBytes, workBytes, heapBytes } = stage;
    return [String(i), parts.join(', '), ...[weightBytes, stateBytes, workBytes, heapBytes, totalBytes(stage)].map(megabytes)];
  });
  const table = [['stage', 'holds', 'weights', 'sessions', 'work', 'heap', 'total'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: string[]) => row.map((text, i) => (i === 1 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  ');
  const { sessions, contextLength, stages } = plan;
  return [
    `${plan.model}: ${stages.length === 1 ? 'one stage' : `${stages.length} stages`} of at most ${megabytes(budgetBytes)} MB, for ${sessions} sessions of ${contextLength} tokens (plan ${planHash(encodePlan(plan))}). MB:`,
    ...table.map(line),
  ];
}
