import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FolderStorage } from '../../../models/pack/folder-storage.ts';
import { packModel } from '../../../models/pack/pack-model.ts';
import { openPack } from '../../../models/pack/reader.ts';
import { openGguf } from '../../../models/sources/gguf/store.ts';
import { dequantizeBytes } from '../../../models/sources/stored-types.ts';
import { makeGguf } from '../../support/make-gguf.ts';
import { HF_NAMES, packReference, referenceConfig } from '../../support/pack-reference.ts';
import { Qwen35Reference, type ReferenceTensor } from '../../support/reference.mjs';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder();

const GGUF_NAMES: Record<string, string> = {
  'token_embd.weight': HF_NAMES.embed!,
  'output_norm.weight': HF_NAMES.norm!,
  'attn_norm.weight': HF_NAMES.input_norm!,
  'post_attention_norm.weight': HF_NAMES.post_norm!,
  'ffn_gate.weight': HF_NAMES.gate_proj!,
  'ffn_up.weight': HF_NAMES.up_proj!,
  'ffn_down.weight': HF_NAMES.down_proj!,
  'attn_q.weight': HF_NAMES.q_proj!,
  'attn_k.weight': HF_NAMES.k_proj!,
  'attn_v.weight': HF_NAMES.v_proj!,
  'attn_output.weight': HF_NAMES.o_proj!,
  'attn_q_norm.weight': HF_NAMES.q_norm!,
  'attn_k_norm.weight': HF_NAMES.k_norm!,
  'attn_qkv.weight': HF_NAMES.qkv_proj!,
  'attn_gate.weight': HF_NAMES.z_proj!,
  'ssm_beta.weight': HF_NAMES.b_proj!,
  'ssm_alpha.weight': HF_NAMES.a_proj!,
  'ssm_conv1d.weight': HF_NAMES.conv!,
  ssm_a: HF_NAMES.decay!,
  'ssm_dt.bias': HF_NAMES.dt_bias!,
  'ssm_norm.weight': HF_NAMES.linear_norm!,
  'ssm_out.weight': HF_NAMES.out_proj!,
};

/** The file's tensors as they lie there, value heads tiled, under the names that the reference wants. */
async function rawTensors(path: string): Promise<Map<string, ReferenceTensor>> {
  const store = await openGguf(path);
  const tensors = new Map<string, ReferenceTensor>();
  for (const stored of store.tensors.values()) {
    const [, block, key] = /^(?:blk\.(\d+)\.)?(.*)$/.exec(stored.name)!;
    const size = stored.shape.reduce((product, length) => product * length, 4);
    const values = Float64Array.from(dequantizeBytes('F32', await store.read(stored, 0, size)));
    const name = (block === undefined ? '' : `model.layers.${block}.`) + GGUF_NAMES[key!];
    const zeroCentred = key!.endsWith('norm.weight') && key !== 'ssm_norm.weight';
    const undo = (value: number) => (key === 'ssm_a' ? Math.log(-value) : zeroCentred ? value - 1 : value);
    tensors.set(name, { shape: stored.shape, data: values.map(undo) });
  }
  await store.close();
  return tensors;
}

test('a GGUF with tiled value heads computes the same in its own order and as packed', async () => {
  const file = join(folder, 'tiny.gguf');
  makeGguf(file, 'tiny', 'f32');
  await packModel(file, join(folder, 'pack'), { quantization: 'f32' });
  const pack = await openPack(new FolderStorage(join(folder, 'pack')));
  expect(pack.manifest.config.linear).toMatchObject({ keyHeads: 2, valueHeads: 4 });

  const packed = await packReference(pack);
  const tiled = new Qwen35Reference(referenceConfig(pack.manifest.config), await rawTensors(file), { vHeadOrder: 'tiled' });
  const grouped = new Qwen35Reference(referenceConfig(pack.manifest.config), await rawTensors(file), { vHeadOrder: 'grouped' });
  const ids = [72, 101, 108, 108, 111, 33, 10, 300];
  const logits = [packed, tiled, grouped].map((model) => {
    const state = model.newState();
    return ids.map((id) => model.step(state, id)).at(-1)!;
  });
  const distance = (a: Float64Array, b: Float64Array) => a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);
  expect(distance(logits[0]!, logits[1]!)).toBeLessThan(1e-6);
  expect(distance(logits[0]!, logits[2]!), 'the order must matter for this to mean anything').toBeGreaterThan(1e-3);
});
