import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack, type Pack } from '../../models/pack/reader.ts';
import { loadStage } from '../../wasm/engine/loader.ts';
import type { LocalStage } from '../../wasm/engine/local-stage.ts';
import { nodeKernels } from '../../wasm/engine/node-kernel.ts';

const PACK = fileURLToPath(new URL('../../models/demo/pack', import.meta.url));

/** What transformers, in float32, puts first at every position of an answer; models/demo/train/record_logits.py writes it. */
interface Recorded {
  ids: number[];
  /** Index of the answer's first token; its prediction is made one position before. */
  answer: number;
  top1: number[];
}
const recorded: Recorded[] = JSON.parse(readFileSync(new URL('../fixtures/demo-top1.json', import.meta.url), 'utf8'));

const argmax = (row: Float32Array) => row.reduce((best, value, i) => (value > row[best]! ? i : best), 0);

describe('the demo model that ships with the repository', () => {
  let pack: Pack;
  let stage: LocalStage;

  beforeAll(async () => {
    const storage = new FolderStorage(PACK);
    pack = await openPack(storage);
    stage = await loadStage({ modules: nodeKernels(), storage, manifest: pack.manifest });
  });

  it('is small, trained and of the Qwen3.5 architecture', () => {
    const { manifest } = pack;
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, manifest.tokenizer?.bytes ?? 0);
    expect(bytes).toBeLessThan(6 * 2 ** 20);
    expect(manifest).toMatchObject({ fixture: false, quantization: 'q8_0', config: { architecture: 'qwen3_5', tiedHead: true } });
    expect(new Set(manifest.config.layerTypes)).toEqual(new Set(['linear_attention', 'full_attention']));
  });

  it('keeps at least 99 % of the tokens that transformers chooses in float32', async () => {
    let agreeing = 0;
    let positions = 0;
    for (const { ids, answer, top1 } of recorded) {
      const rows = await stage.forward(ids);
      agreeing += top1.filter((id, i) => argmax(rows[answer - 1 + i]!) === id).length;
      positions += top1.length;
    }
    expect(positions).toBeGreaterThan(1000);
    expect(agreeing / positions).toBeGreaterThanOrEqual(0.99);
  });
});
