import { expect, it } from 'vitest';
import { modelLoader } from '../../../worker/difficulty/model-source.ts';

const bundled = async () => Uint8Array.of(9);
const bucket = {
  get: async (key: string) => (key === 'mine.onnx' ? { arrayBuffer: async () => Uint8Array.of(1, 2, 3).buffer } : null),
};

it("reads a model of one's own from the bucket", async () => {
  expect(await modelLoader({ MODELS: bucket, NEARSIDE_DIFFICULTY_MODEL: ' mine.onnx ' }, bundled)()).toEqual(Uint8Array.of(1, 2, 3));
});

it('says what is missing', async () => {
  await expect(modelLoader({ NEARSIDE_DIFFICULTY_MODEL: 'mine.onnx' }, bundled)()).rejects.toThrow('no R2 bucket bound as MODELS');
  await expect(modelLoader({ MODELS: bucket, NEARSIDE_DIFFICULTY_MODEL: 'other.onnx' }, bundled)()).rejects.toThrow('no object other.onnx');
});

it('takes the one of the bundle where nothing is set', async () => {
  expect(await modelLoader({ MODELS: bucket, NEARSIDE_DIFFICULTY_MODEL: ' ' }, bundled)()).toEqual(Uint8Array.of(9));
});
