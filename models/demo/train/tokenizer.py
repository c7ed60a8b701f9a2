"""Trains the demo model's tokenizer: byte-level BPE with Qwen3.5's pre-tokenizer, and writes it as a Hugging Face folder's tokenizer files.

    python tokenizer.py OUT
"""

import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from data import SEED, example

# Rows of the token table, a multiple of 32: 256 bytes, the merges, then the added tokens.
VOCABULARY = 1536
ADDED = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
PRETOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = """{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + ('system' if message.role == 'developer' else message.role) + '\\n' + message.content | trim + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""


def render(messages):
    """What CHAT_TEMPLATE renders, with the generation prompt."""
    turns = (f'<|im_start|>{m["role"]}\n{m["content"].strip()}<|im_end|>\n' for m in messages)
    return ''.join(turns) + '<|im_start|>assistant\n'


def corpus():
    """Prompts and answers, as the chat template lays them out."""
    rng = random.Random(SEED + 2)
    for _ in range(60_000):
        made = example(rng)
        yield '\n'.join(f'{m["role"]}\n{m["content"]}' for m in made['messages']) + '\nassistant\n'
        yield made['answer']


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKENIZER), behavior='isolated'),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - len(ADDED), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in ADDED])
    tokenizer.save(f'{out}/tokenizer.json')
    config = {'tokenizer_class': 'PreTrainedTokenizerFast', 'eos_token': '<|im_end|>', 'pad_token': '<|endoftext|>', 'model_max_length': 1024,
              'clean_up_tokenization_spaces': False, 'chat_template': CHAT_TEMPLATE}
    with open(f'{out}/tokenizer_config.json', 'w') as file:
        json.dump(config, file, indent=2)

    rng = random.Random(SEED)
    made = [example(rng) for _ in range(5000)]
    prompts = sum(len(tokenizer.encode(render(m['messages'])).ids) for m in made) / len(made)
    answers = sum(len(tokenizer.encode(m['answer']).ids) for m in made) / len(made)
    print(f'{tokenizer.get_vocab_size()} tokens; on average {prompts:.1f} tokens a prompt, {answers:.1f} an answer')
    print(tokenizer.encode(render(made[0]['messages']) + made[0]['answer']).tokens)


if __name__ == '__main__':
    main()
