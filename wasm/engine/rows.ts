import type { Row } from './batch.ts';
import type { StageParts } from './local-stage.ts';
import { ROW, structBytes, writeStruct } from './structs.ts';

/**
 * Writes what the kernels read of a micro-batch: its inputs [rows, H], row records and RoPE tables.
 * @param fillRopeTable writes the tables of these positions
 */
export function writeRows(
  rows: Row[],
  { kernel, arena, scratch, sessions, weights, manifest }: StageParts,
  fillRopeTable: (buffer: ArrayBuffer, positions: number[]) => void,
): void {
  const { buffer } = arena.memory;
  const width = manifest.config.hiddenSize;
  for (const [i, row] of rows.entries()) {
    const { session, position } = row;
    const record = { position, pages: session.slot, state: sessions.recurrentState(session) };
    writeStruct(buffer, scratch.rows + i * structBytes(ROW), ROW, record);
    const at = scratch.x + i * width * 4;
    if (row.hidden) new Float32Array(buffer, at, width).set(row.hidden);
    else if (!kernel.embedRow(weights.embed, row.id, at)) throw new Error(`The token table has no row ${row.id}.`);
  }
  fillRopeTable(
    buffer,
    rows.map((row) => row.position),
  );
}
