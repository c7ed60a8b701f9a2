"""Makes a random-weight Qwen3.5 of two million parameters that reads text and images, as a Hugging Face checkpoint: make_model.py FOLDER

Its widths are the smallest that vLLM's CPU kernels take (heads of 128 in the linear attention, bfloat16). The byte-level tokenizer is trained on
test/fixtures/english.txt and has Qwen's special tokens, the thinking and tool tags included.
"""

import json
import os
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

folder = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
os.makedirs(folder, exist_ok=True)


def write(name, value):
    with open(os.path.join(folder, name), "w") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))


tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
tokenizer.train([os.path.join(here, "../fixtures/english.txt")], trainer)
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
tokenizer.add_special_tokens(special)
tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in ["<think>", "</think>", "<tool_call>", "</tool_call>"]])
write("tokenizer.json", tokenizer.to_str())
write(
    "tokenizer_config.json",
    {
        "tokenizer_class": "Qwen2TokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
    },
)
write(
    "chat_template.jinja",
    """{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}{{- message.content }}
{%- else %}{%- for part in message.content %}
{%- if part.type == 'text' %}{{- part.text }}{%- else %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}{%- endif %}
{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '\\n</think>\\n\\n' }}{%- endif %}{%- endif %}""",
)
pixels = {
    "processor_class": "Qwen3VLProcessor",
    "size": {"longest_edge": 262144, "shortest_edge": 1024},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
write("preprocessor_config.json", {"image_processor_type": "Qwen2VLImageProcessorFast", **pixels})
write("video_preprocessor_config.json", {"video_processor_type": "Qwen3VLVideoProcessor", **pixels})

id_of = tokenizer.token_to_id
text = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "layer_types": ["linear_attention"] * 3 + ["full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": id_of("<|im_end|>"),
    "pad_token_id": id_of("<|endoftext|>"),
    "initializer_range": 0.06,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25,
        "mrope_section": [3, 3, 2],
        "mrope_interleaved": True,
    },
}
vision = {
    "depth": 2,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_heads": 2,
    "out_hidden_size": 256,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 256,
    "in_channels": 3,
    "deepstack_visual_indexes": [],
}
config = Qwen3_5Config(
    text_config=text,
    vision_config=vision,
    image_token_id=id_of("<|image_pad|>"),
    video_token_id=id_of("<|video_pad|>"),
    vision_start_token_id=id_of("<|vision_start|>"),
    vision_end_token_id=id_of("<|vision_end|>"),
    tie_word_embeddings=True,
)
torch.manual_seed(1)
model = Qwen3_5ForConditionalGeneration(config).to(torch.bfloat16)
model.generation_config.eos_token_id = text["eos_token_id"]
model.save_pretrained(folder)
