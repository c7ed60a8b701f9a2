/** Rows of the token table, from each tile type. */
import { F32, Matrix, Part, Q4_0 } from './model';
import { Q4_TILE, Q8_TILE } from './tile';

/** The value of an fp16 number given as its 16 bits. */
@inline function half(bits: u32): f32 {
  return reinterpret<f32>(((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13)) * reinterpret<f32>(0x77800000);
}

/** out [columns] = row `id` of the table. False when no part holds the row. */
export function embedRow(table: Matrix, id: i32, out: usize): bool {
  for (let i = 0, at = table.parts; i < table.partCount; i++, at += offsetof<Part>()) {
    const part = changetype<Part>(at);
    if (id < part.firstRow || id >= part.firstRow + part.rows) continue;
    const row = id - part.firstRow;
    if (table.type == F32) copyF32(part.data, row, out, table.columns);
    else if (table.type == Q4_0) unpackQ4(part.data, row, out, table.columns >> 5);
    else unpackQ8(part.data, row, out, table.columns >> 5);
    return true;
  }
  return false;
}

function copyF32(data: usize, row: i32, out: usize, columns: i32): void {
  let from = data + <usize>(row >> 3) * (<usize>columns << 5) + (<usize>(row & 7) << 2);
  for (const end = out + (<usize>columns << 2); out != end; out += 4, from += 32) store<f32>(out, load<f32>(from));
}

function unpackQ4(data: usize, row: i32, out: usize, blocks: i32): void {
  const r = row & 3, high = (row >> 2) & 1, shift = high << 2;
  let tile = data + <usize>(row >> 3) * <usize>blocks * Q4_TILE;
  for (let b = 0; b < blocks; b++, tile += Q4_TILE) {
    const scale = half(load<u16>(tile + 128 + (<usize>r << 2) + (<usize>high << 1)));
    for (let k = 0; k < 32; k++, out += 4) {
      const byte = load<u8>(tile + (<usize>(k >> 2) << 4) + (<usize>r << 2) + <usize>(k & 3));
      store<f32>(out, <f32>(<i32>((byte >> <u8>shift) & 15) - 8) * scale);
    }
  }
}

function unpackQ8(data: usize, row: i32, out: usize, blocks: i32): void {
  const r = row & 7;
  let tile = data + <usize>(row >> 3) * <usize>blocks * Q8_TILE;
  for (let b = 0; b < blocks; b++, tile += Q8_TILE) {
    const scale = half(load<u16>(tile + 256 + (<usize>(r & 3) << 2) + (<usize>(r >> 2) << 1)));
    for (let k = 0; k < 32; k++, out += 4) {
      store<f32>(out, <f32>load<i8>(tile + (<usize>(k >> 1) << 4) + (<usize>r << 1) + <usize>(k & 1)) * scale);
    }
  }
}
