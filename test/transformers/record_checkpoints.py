"""Saves small random-weight checkpoints with transformers' own classes, and the logits transformers computes for them in float32.

Writes test/fixtures/transformers/NAME/{config.json, *.safetensors, logits.json}. Three shapes:

qwen3_5-tied    Qwen3_5ForCausalLM, flat config, as many value heads as key heads, tied head, float32, one file.
qwen3_5-untied  Qwen3_5ForConditionalGeneration with a vision tower and nested text_config, two value heads per key head, untied head,
                bfloat16, several files with an index.
llama-tied      LlamaForCausalLM, tied head, float16.
"""

import base64
import json
import math
import pathlib
import shutil

import torch
import transformers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3_5Config,
    Qwen3_5ForCausalLM,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5TextConfig,
)

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "transformers"
LONG = 100  # longer than the 64-token chunks of transformers' delta rule

QWEN_TEXT = dict(
    vocab_size=512,
    hidden_size=96,
    intermediate_size=160,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    linear_key_head_dim=32,
    linear_value_head_dim=32,
    max_position_embeddings=4096,
    rms_norm_eps=1e-6,
    rope_parameters={
        "rope_type": "default",
        "rope_theta": 1e7,
        "partial_rotary_factor": 0.25,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
    },
    eos_token_id=500,
)
VISION = dict(
    depth=1,
    hidden_size=32,
    intermediate_size=32,
    num_heads=2,
    out_hidden_size=96,
    num_position_embeddings=16,
    patch_size=4,
    spatial_merge_size=2,
    deepstack_visual_indexes=[],
)


def qwen_tied():
    config = Qwen3_5TextConfig(
        **QWEN_TEXT, num_hidden_layers=4, linear_num_key_heads=2, linear_num_value_heads=2, tie_word_embeddings=True
    )
    return Qwen3_5ForCausalLM(config), torch.float32


def qwen_untied():
    text = dict(
        **QWEN_TEXT, num_hidden_layers=8, linear_num_key_heads=2, linear_num_value_heads=4, tie_word_embeddings=False
    )
    config = Qwen3_5Config(text_config=text, vision_config=VISION, tie_word_embeddings=False)
    return Qwen3_5ForConditionalGeneration(config), torch.bfloat16


def llama_tied():
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config), torch.float16


def randomize(model, generator):
    """Weights that make every part of the model matter: transformers' own initialisation leaves norms and gates trivial."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            uniform = torch.rand(tensor.shape, generator=generator)
            if name.endswith("A_log"):
                tensor.copy_(torch.log(0.02 + 4 * uniform))
            elif name.endswith("dt_bias"):
                tensor.copy_(3 * uniform - 2)
            elif "conv1d" in name:
                tensor.copy_(0.5 * noise)
            elif tensor.dim() == 1:
                tensor.add_(0.15 * noise)  # around the norm's own start: 0 for zero-centred ones, 1 for the others
            elif "embed_tokens" in name or "lm_head" in name:
                tensor.copy_(noise * (2 / math.sqrt(tensor.shape[-1])))
            else:
                tensor.copy_(noise * (1.2 / math.sqrt(tensor[0].numel())))


def record(name, build, seed):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model, dtype = build()
    randomize(model, generator)
    model = model.to(dtype).eval()
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size="600KB" if dtype == torch.bfloat16 else "50MB")
    (folder / "generation_config.json").unlink(missing_ok=True)

    model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    prompts = []
    for length in (1, 17, LONG):
        ids = torch.randint(0, 500, (1, length), generator=generator)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0]
        positions = sorted({*range(0, length, 1 if length < LONG else 9), length - 1})
        prompts.append(
            {
                "ids": ids[0].tolist(),
                "positions": positions,
                "logits": base64.b64encode(logits[positions].numpy().astype("<f4").tobytes()).decode(),
                "top1": logits.argmax(-1).tolist(),
            }
        )
        if length == 17:
            start = ids
    with torch.no_grad():
        made = model.generate(input_ids=start, max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0)
    greedy = {"ids": start[0].tolist(), "continuation": made[0, start.shape[1] :].tolist()}
    facts = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0], "class": type(model).__name__}
    (folder / "logits.json").write_text(json.dumps({**facts, "prompts": prompts, "greedy": greedy}) + "\n")
    total = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {total / 1e6:.2f} MB, largest logit {logits.abs().max():.2f}, logit std {logits.std():.2f}, greedy {greedy['continuation']}")


record("qwen3_5-tied", qwen_tied, 5)
record("qwen3_5-untied", qwen_untied, 6)
record("llama-tied", llama_tied, 7)
