import { beforeEach, describe, expect, it } from 'vitest';
import type { PackStorage } from '../../models/pack/storage.ts';

/** More than two reads of the R2 storage, and not a multiple of one. */
const FILE = Uint8Array.from({ length: 2 * 1024 * 1024 + 12345 }, (_, i) => (i * 31) % 251);
/** What every implementation of PackStorage must do. `make` gives one that holds these files. */
export function behavesAsPackStorage(name: string, make: (files: Record<string, Uint8Array>) => Promise<PackStorage>) {
  describe(name, () => {
    let storage: PackStorage;
    beforeEach(async () => {
      storage = await make({
        'manifest.json': new TextEncoder().encode('{"format":"x"}'),
        'layer-00.bin': FILE,
        'empty.bin': new Uint8Array(),
      });
    });

    it('reads the manifest as text', async () => {
      expect(await storage.manifest()).toBe('{"format":"x"}');
    });

    it('reads a file into a view of WASM memory, and only there', async () => {
      const memory = new WebAssembly.Memory({ initial: 64 });
      const before = new Uint8Array(memory.buffer);
      await storage.read('layer-00.bin', new Uint8Array(memory.buffer, 100, FILE.length));
      expect(before.byteLength).toBe(64 * 65536);
      expect(before.slice(100, 100 + FILE.length)).toEqual(FILE);
      expect([before[99], before[100 + FILE.length]]).toEqual([0, 0]);
    });

    it('reads an empty file', async () => {
      await storage.read('empty.bin', new Uint8Array());
    });

    it('names a file that is missing, short or long', async () => {
      await expect(storage.read('layer-01.bin', new Uint8Array(4))).rejects.toThrow('layer-01.bin');
      await expect(storage.read('layer-00.bin', new Uint8Array(FILE.length + 1))).rejects.toThrow(/layer-00\.bin.*bytes/);
      await expect(storage.read('layer-00.bin', new Uint8Array(FILE.length - 1))).rejects.toThrow(/layer-00\.bin.*bytes/);
    });

    it('says so when there is no manifest', async () => {
      const empty = await make({});
      await expect(empty.manifest()).rejects.toThrow('manifest.json');
    });
  });
}
