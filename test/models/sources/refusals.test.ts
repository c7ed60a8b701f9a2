import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSource } from '../../../models/sources/index.ts';
import { checkpoint } from '../../support/checkpoints.ts';
import { convertToGguf } from '../../support/convert-to-gguf.ts';
import { GOLDEN_MODEL } from '../../support/golden.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { type GgufMetadata, writeGguf } from '../../support/write-gguf.ts';

const folder = temporaryFolder();

describe('safetensors', () => {
  const copy = join(folder, 'copy');
  beforeEach(() => {
    rmSync(copy, { recursive: true, force: true });
    cpSync(GOLDEN_MODEL, copy, { recursive: true });
  });

  const editConfig = (edit: (config: Record<string, Record<string, unknown> & string>) => void) => {
    const file = join(copy, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8'));
    edit(config);
    writeFileSync(file, JSON.stringify(config));
  };
  /** Renames in the JSON header without moving the data: names of equal length. */
  const editHeader = (from: string, to: string) => {
    const file = join(copy, 'model.safetensors');
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = bytes.toString('utf8', 8, 8 + length);
    const edited = header.replace(from, to);
    if (edited === header || edited.length !== header.length) throw new Error('the header cannot be edited like that');
    bytes.write(edited, 8);
    writeFileSync(file, bytes);
  };
  const opening = () => openSource(copy);

  test.each<[string, (config: Record<string, Record<string, unknown> & string>) => void, RegExp]>([
    [
      'an unknown architecture',
      (config) => Object.assign(config, { model_type: 'mamba2' }),
      /model type "mamba2" is not supported; supported are qwen3_5/,
    ],
    [
      'a scaled RoPE',
      (config) => Object.assign(config.text_config!.rope_parameters!, { rope_type: 'yarn' }),
      /RoPE scaling of type "yarn"/,
    ],
    ['biases', (config) => Object.assign(config.text_config!, { attention_bias: true }), /biases in its projections/],
    ['another activation', (config) => Object.assign(config.text_config!, { hidden_act: 'gelu' }), /the activation "gelu"/],
    [
      'quantized safetensors',
      (config) => Object.assign(config, { quantization_config: { quant_method: 'gptq' } }),
      /quantized safetensors/,
    ],
    [
      'an unknown layer type',
      (config) => Object.assign(config.text_config!, { layer_types: Array(8).fill('sliding_attention') }),
      /"sliding_attention"/,
    ],
    [
      'a size that does not fit',
      (config) => Object.assign(config.text_config!, { intermediate_size: 320 }),
      /mlp\.\w+\.weight has the shape \[256,128\], and \[320,128\] was expected/,
    ],
    [
      'more layers than a list could name',
      (config) => Object.assign(config.text_config!, { num_hidden_layers: 4_000_000_000, layer_types: undefined }),
      /config\.json is not usable: num_hidden_layers/,
    ],
    [
      'a missing size',
      (config) => delete (config.text_config as Record<string, unknown>).hidden_size,
      /config\.json is not usable: hidden_size/,
    ],
  ])('%s', async (_, edit, message) => {
    editConfig(edit);
    await expect(opening()).rejects.toThrow(message);
  });

  test('a missing tensor, by name', async () => {
    editHeader('layers.3.self_attn.o_proj', 'layers.3.self_attn.x_proj');
    await expect(opening()).rejects.toThrow('The tensor model.language_model.layers.3.self_attn.o_proj.weight is missing from the model.');
  });

  test('a tensor that the architecture does not have', async () => {
    const file = join(copy, 'model.safetensors');
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const extra = '"model.language_model.layers.3.self_attn.q_proj.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},';
    const header = Buffer.from(`{${extra}${bytes.toString('utf8', 9, 8 + length)}`);
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(file, Buffer.concat([size, header, bytes.subarray(8 + length)]));
    await expect(opening()).rejects.toThrow(/q_proj\.bias has no place in the qwen3_5 architecture/);
  });

  test('an unsupported type, by name', async () => {
    editHeader('"dtype":"F32"', '"dtype":"I32"');
    await expect(opening()).rejects.toThrow(/has the type I32, which is not supported; supported are F32, F16, BF16/);
  });

  test('a place before the data', async () => {
    editHeader('"data_offsets":[0,262144]', '"data_offsets":[-1,26214]');
    await expect(opening()).rejects.toThrow('model.safetensors is not a safetensors file.');
  });

  test('data that is no JSON where JSON belongs', async () => {
    writeFileSync(join(copy, 'config.json'), '{');
    await expect(opening()).rejects.toThrow('config.json is not valid JSON.');
  });

  test('an index that names a file which is not there', async () => {
    rmSync(copy, { recursive: true });
    cpSync(checkpoint('qwen3_5-untied'), copy, { recursive: true });
    rmSync(join(copy, 'model-00003-of-00004.safetensors'));
    await expect(opening()).rejects.toThrow(/model-00003-of-00004\.safetensors cannot be read/);
  });
});

describe('gguf', () => {
  const file = join(folder, 'model.gguf');
  const convert = async (extra: GgufMetadata) => {
    const source = await openSource(checkpoint('llama-tied'));
    await convertToGguf(source, file, 'f32', extra);
    await source.close();
  };

  test.each<[string, GgufMetadata, RegExp]>([
    [
      'an unknown architecture',
      { 'general.architecture': 'gemma3' },
      /GGUF architecture "gemma3" is not supported; supported are qwen35, llama/,
    ],
    ['a scaled RoPE', { 'llama.rope.scaling.type': 'linear' }, /RoPE scaling of type "linear"/],
    ['a partial RoPE', { 'llama.rope.dimension_count': 8 }, /RoPE over 8 of 16 dimensions/],
    ['experts', { 'llama.expert_count': 8 }, /Mixture-of-experts/],
    ['different key/value heads', { 'llama.attention.head_count_kv': [2, 2, 1] }, /different numbers of key\/value heads/],
    ['part of a split model', { 'split.count': 3 }, /one part of several/],
    ['more layers than a list could name', { 'llama.block_count': 4_000_000_000 }, /4000000000 layers; a model may have 1 to 1000/],
    [
      'a number for the merges',
      { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a'], 'tokenizer.ggml.merges': 7 },
      /tokenizer\.ggml\.merges is no list/,
    ],
    ['no layers', { 'llama.block_count': 0 }, /0 layers; a model may have 1 to 1000/],
    ['part of a layer', { 'llama.block_count': 1.5 }, /1\.5 layers/],
    ['an alignment to nothing', { 'general.alignment': 0 }, /damaged: its general\.alignment is 0/],
    ['an alignment to a word', { 'general.alignment': 'left' }, /damaged: its general\.alignment is NaN/],
  ])('%s', async (_, extra, message) => {
    await convert(extra);
    await expect(openSource(file)).rejects.toThrow(message);
  });

  test('a missing tensor, a missing number and an unknown type', async () => {
    const tensor = { name: 'token_embd.weight', shape: [4, 32], type: 0, data: new Uint8Array(512) };
    const keys = {
      'general.architecture': 'llama',
      'llama.embedding_length': 32,
      'llama.attention.head_count': 2,
      'llama.feed_forward_length': 32,
    };
    const more = { 'llama.block_count': 1, 'llama.attention.layer_norm_rms_epsilon': 1e-5, 'llama.context_length': 64 };
    writeGguf(file, keys, [tensor]);
    await expect(openSource(file)).rejects.toThrow('The GGUF metadata has no number llama.block_count.');
    writeGguf(file, { ...keys, ...more }, [tensor]);
    await expect(openSource(file)).rejects.toThrow('The tensor blk.0.attn_norm.weight is missing from the model.');
    writeGguf(file, { ...keys, ...more }, [{ ...tensor, type: 10 }]);
    await expect(openSource(file)).rejects.toThrow(/token_embd\.weight has the type Q2_K, which is not supported/);
  });

  test.each<[string, number, RegExp]>([
    ['tensors', 8, /model\.gguf is damaged: its header has 4294967296 entries/],
    ['metadata', 16, /model\.gguf is damaged: its header has 4294967296 entries/],
  ])('a count of %s that lies', async (_, at, message) => {
    await convert({});
    const bytes = readFileSync(file);
    bytes.writeBigUInt64LE(1n << 32n, at);
    writeFileSync(file, bytes);
    await expect(openSource(file)).rejects.toThrow(message);
  });

  /** The beginning of a file whose only metadata is an array of `length` values of `type`. */
  const arrayOf = (type: number, length: bigint): Buffer => {
    const bytes = Buffer.alloc(24 + 8 + 1 + 4 + 4 + 8);
    bytes.write('GGUF');
    bytes.writeUInt32LE(3, 4);
    bytes.writeBigUInt64LE(1n, 16);
    bytes.writeBigUInt64LE(1n, 24);
    bytes.write('a', 32);
    bytes.writeUInt32LE(9, 33);
    bytes.writeUInt32LE(type, 37);
    bytes.writeBigUInt64LE(length, 41);
    return bytes;
  };

  test('an array with more values than any vocabulary has, though the file has them', async () => {
    writeFileSync(file, Buffer.concat([arrayOf(0, 1n << 24n), Buffer.alloc(1 << 24)]));
    await expect(openSource(file)).rejects.toThrow('model.gguf is damaged: its header has arrays of more than 8388608 values.');
  });

  test('arrays in arrays, which may be nested as deeply as the file is long', async () => {
    const inner = Buffer.alloc(12);
    inner.writeUInt32LE(9);
    inner.writeBigUInt64LE(1n, 4);
    writeFileSync(file, Buffer.concat([arrayOf(9, 1n), ...Array<Buffer>(100_000).fill(inner)]));
    await expect(openSource(file)).rejects.toThrow('model.gguf has lists of lists in its header, which are not supported.');
  });

  test('a version other than 3', async () => {
    await convert({});
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(2, 4);
    writeFileSync(file, bytes);
    await expect(openSource(file)).rejects.toThrow('model.gguf is GGUF version 2, and only version 3 is supported.');
  });

  test('but not a multi-token prediction head, which is left out, nor 0 key/value heads for layers of linear attention', async () => {
    const source = await openSource(checkpoint('qwen3_5-untied'));
    const extra = {
      'qwen35.block_count': 9,
      'qwen35.nextn_predict_layers': 1,
      'qwen35.attention.head_count_kv': [0, 0, 0, 2, 0, 0, 0, 2],
    };
    const prediction = { name: 'blk.8.nextn.eh_proj.weight', shape: [4], type: 0, data: new Uint8Array(16) };
    await convertToGguf(source, file, 'f32', extra, [prediction]);
    const converted = await openSource(file);
    expect(converted.config).toEqual(source.config);
    await source.close();
    await converted.close();
  });
});
