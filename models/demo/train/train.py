"""Trains the demo model: a small Qwen3_5ForCausalLM of Hugging Face transformers, on a CPU, from examples made on the fly.

One process a core, each with half of every batch: small matrices gain little from two threads, and lose much when something else wants a core.

    python tokenizer.py CHECKPOINT && python train.py CHECKPOINT [--steps 9000]

Restartable: run the same command again and it goes on from the last saved state (CHECKPOINT/state.pt, every few minutes).
CHECKPOINT ends as an ordinary Hugging Face folder.
"""

import argparse
import json
import os
import random
import time
from datetime import timedelta

import torch
import torch.multiprocessing
import torch.distributed as dist
import torch.nn.functional as F
import transformers.models.qwen3_5.modeling_qwen3_5 as qwen
from tokenizers import Tokenizer
from transformers import GenerationConfig, Qwen3_5ForCausalLM, Qwen3_5TextConfig

from data import SEED, evaluation, example
from tokenizer import render

BATCH_TOKENS = 2600
POOL = 6400
PEAK_RATE = 1.6e-3
WARM_UP = 250
SAVE_SECONDS = 240

chunk_rule = qwen.torch_chunk_gated_delta_rule


def short_chunks(*tensors, **options):
    """transformers' own chunked rule, in chunks of 16 (prompts are short) and in full precision."""
    options['chunk_size'] = 16
    with torch.autocast('cpu', enabled=False):
        return chunk_rule(*tensors, **options)


def model_config(tokenizer):
    return Qwen3_5TextConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=256, intermediate_size=384, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, linear_num_key_heads=4, linear_num_value_heads=4, linear_key_head_dim=32, linear_value_head_dim=32, tie_word_embeddings=True,
        max_position_embeddings=1024, full_attention_interval=4,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0, 'partial_rotary_factor': 0.25, 'mrope_section': [3, 3, 2], 'mrope_interleaved': True},
        eos_token_id=tokenizer.token_to_id('<|im_end|>'), pad_token_id=tokenizer.token_to_id('<|endoftext|>'),
    )


def encode(tokenizer, examples):
    """[(ids, prompt length)]: the prompt as the chat template renders it, then the answer and <|im_end|>."""
    prompts = tokenizer.encode_batch([render(e['messages']) for e in examples])
    answers = tokenizer.encode_batch([e['answer'] for e in examples], add_special_tokens=False)
    end = tokenizer.token_to_id('<|im_end|>')
    return [(p.ids + a.ids + [end], len(p.ids)) for p, a in zip(prompts, answers)]


def batches(sequences, rng):
    """Sequences of like length together, about BATCH_TOKENS a batch, in random order."""
    ordered = sorted(sequences, key=lambda s: (len(s[0]), rng.random()))
    made, start = [], 0
    while start < len(ordered):
        count = max(8, BATCH_TOKENS // (len(ordered[start][0]) + 2))
        made.append(ordered[start : start + count])
        start += count
    rng.shuffle(made)
    return made


def tensors(batch):
    """(ids, labels): right-padded; a label is -100 where nothing is to be predicted (prompt and padding)."""
    width = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), -100)
    for row, (sequence, prompt) in enumerate(batch):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        labels[row, prompt - 1 : len(sequence) - 1] = torch.tensor(sequence[prompt:])
    return ids, labels


def answer_logits(model, ids, labels):
    """Logits of the positions that have a label, and those labels. Padding is on the right, where a causal model cannot see it."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    wanted = labels >= 0
    return model.lm_head(hidden[wanted]), labels[wanted]


@torch.no_grad()
def score(model, tokenizer, examples):
    """{job: share of answers that are right in every token}: with the right tokens before, so exactly what greedy decoding gets right."""
    model.eval()
    right = {}
    sequences = list(zip(encode(tokenizer, examples), examples))
    sequences.sort(key=lambda s: len(s[0][0]))
    for start in range(0, len(sequences), 64):
        part = sequences[start : start + 64]
        ids, labels = tensors([s for s, _ in part])
        logits, targets = answer_logits(model, ids, labels)
        hit = torch.ones_like(labels, dtype=torch.bool)
        hit[labels >= 0] = logits.argmax(-1) == targets
        for (_, made), good in zip(part, hit.all(1).tolist()):
            right.setdefault(made['job'], []).append(good)
    model.train()
    return {job: sum(found) / len(found) for job, found in right.items()}


def rate(step, steps):
    """Warm-up, then constant, then linear to zero over the last 40 %."""
    return PEAK_RATE * min(1, (step + 1) / WARM_UP, max(0.0, (steps - step) / (0.4 * steps)))


def average_gradients(parameters, processes):
    """Every process ends with the mean of all processes' gradients."""
    flat = torch.cat([p.grad.reshape(-1) for p in parameters])
    dist.all_reduce(flat)
    flat /= processes
    start = 0
    for p in parameters:
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()


def make_pool(tokenizer, pool, rank, processes):
    """The batches of one pool of fresh examples. Every process makes its share of the examples and gets all of them."""
    rng = random.Random(f'{SEED}:{pool}:{rank}')
    shares = [None] * processes
    dist.all_gather_object(shares, encode(tokenizer, [example(rng) for _ in range(POOL // processes)]))
    return batches([sequence for share in shares for sequence in share], random.Random(f'{SEED}:{pool}'))


def save(path, model, optimizer, step, pool):
    torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict(), 'step': step, 'pool': pool}, path + '.new')
    os.replace(path + '.new', path)


def train(rank, args):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(args.port))
    dist.init_process_group('gloo', rank=rank, world_size=args.processes, timeout=timedelta(minutes=30))
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    qwen.torch_chunk_gated_delta_rule = short_chunks
    say = (lambda *text: print(*text, flush=True)) if rank == 0 else (lambda *text: None)
    qwen.torch_chunk_gated_delta_rule = short_chunks

    tokenizer = Tokenizer.from_file(f'{args.checkpoint}/tokenizer.json')
    model = Qwen3_5ForCausalLM(model_config(tokenizer))
    parameters = list(model.parameters())
    groups = [{'params': [p for p in parameters if p.ndim == 2], 'weight_decay': 0.05}, {'params': [p for p in parameters if p.ndim != 2], 'weight_decay': 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    say(f'{sum(p.numel() for p in parameters):,} parameters, {args.steps} steps')

    step = pool = 0
    state_file = f'{args.checkpoint}/state.pt'
    if os.path.exists(state_file):
        state = torch.load(state_file)
        model.load_state_dict(state['model'])
        optimizer.load_state_dict(state['optimizer'])
        step, pool = state['step'], state['pool']
        say(f'going on at step {step}')

    held = evaluation()
    started, first, saved, losses, tokens = time.time(), step, time.time(), [], 0
    while step < args.steps:
        pool += 1  # A restart begins with a new pool of examples.
        for batch in make_pool(tokenizer, pool, rank, args.processes):
            if step >= args.steps:
                break
            for group in optimizer.param_groups:
                group['lr'] = rate(step, args.steps)
            ids, labels = tensors(batch[rank :: args.processes])
            with torch.autocast('cpu', dtype=torch.bfloat16):
                logits, targets = answer_logits(model, ids, labels)
            loss = F.cross_entropy(logits.float(), targets)
            loss.backward()
            average_gradients(parameters, args.processes)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            losses.append(loss.item())
            tokens += ids.numel() * args.processes
            if step % 100 == 0:
                elapsed = time.time() - started
                left = elapsed / (step - first) * (args.steps - step)
                say(f'step {step}/{args.steps}  loss {sum(losses) / len(losses):.4f}  {tokens / elapsed:,.0f} tokens/s  {left / 60:.0f} min left')
                losses = []
            if rank == 0 and step % 500 == 0:
                scores = score(model, tokenizer, held)
                say(f'  held-out {sum(scores.values()) / len(scores):.1%}: ' + ' '.join(f'{job} {value:.0%}' for job, value in scores.items()))
            if rank == 0 and time.time() - saved > SAVE_SECONDS:
                save(state_file, model, optimizer, step, pool)
                saved = time.time()

    if rank == 0:
        model.generation_config = GenerationConfig(do_sample=False, eos_token_id=[model.config.eos_token_id, model.config.pad_token_id], pad_token_id=model.config.pad_token_id)
        model.save_pretrained(args.checkpoint)
        save(state_file, model, optimizer, step, pool)
        scores = score(model, tokenizer, held)
        say(json.dumps({'average': round(sum(scores.values()) / len(scores), 4), 'seconds': round(time.time() - started), **{job: round(value, 4) for job, value in scores.items()}}))
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint')
    parser.add_argument('--steps', type=int, default=7000)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--port', type=int, default=29517)
    args = parser.parse_args()
    torch.multiprocessing.spawn(train, (args,), nprocs=args.processes)


if __name__ == '__main__':
    main()
