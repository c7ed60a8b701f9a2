"""Trains the demo model: a small Qwen3_5ForCausalLM of Hugging Face transformers, on a CPU, from examples made on the fly.

One process a core, each with half of every batch: small matrices gain little from two threads, and lose much when something else wants a core.

    python tokenizer.py CHECKPOINT && python train.py CHECKPOINT [--steps 3450]

Restartable: run the same command again and it goes on from the last saved state (CHECKPOINT/state.pt, every 100 steps).
CHECKPOINT ends as an ordinary Hugging Face folder.
"""

import argparse
import json
import os
import random
import time
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.multiprocessing
import torch.distributed as dist
import torch.nn.functional as F
import transformers.models.qwen3_5.modeling_qwen3_5 as qwen
from tokenizers import Tokenizer
from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

from data import SEED, evaluation, example
from tokenizer import render

BATCH_TOKENS = 3600
POOL = 6400
MATRIX_RATE = 5e-3
OTHER_RATE = 3e-3
WARM_UP = 100
SAVE_STEPS = 100
# Share of merges left out (Provilkov et al., BPE-Dropout, 2020), and share of the training examples that are tokenized so.
DROPOUT = 0.08
DROPPED = 0.2
ONE_CHUNK = 96

chunk_rule = qwen.torch_chunk_gated_delta_rule


def one_chunk_rule(query, key, value, g, beta, **options):
    """The gated delta rule of transformers' torch_chunk_gated_delta_rule with the whole (short) sequence as one chunk and no state before it.

    About twice as fast to train on a CPU. Shapes: query, key [batch, length, heads, dk], value [batch, length, heads, dv], g and beta [batch, length, heads].
    Source: Yang et al., Gated Delta Networks, section 3.3 (UT transform).
    """
    length, width = query.shape[1], query.shape[3]
    if length > ONE_CHUNK:
        return chunk_rule(query, key, value, g=g, beta=beta, **options)
    with torch.autocast('cpu', enabled=False):
        q, k, v = (x.transpose(1, 2).float() for x in (query, key, value))
        q = q * torch.rsqrt(q.pow(2).sum(-1, keepdim=True) + 1e-6) * width**-0.5
        k = k * torch.rsqrt(k.pow(2).sum(-1, keepdim=True) + 1e-6)
        b = beta.transpose(1, 2).float().unsqueeze(-1)
        total = g.transpose(1, 2).float().cumsum(-1)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        decay = (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(later, float('-inf')).exp()
        keys = k.transpose(-1, -2)
        values = torch.linalg.solve_triangular((k * b) @ keys * decay, v * b, upper=False, unitriangular=True)
        out = (q @ keys * decay) @ values
        return out.transpose(1, 2).contiguous().to(query.dtype), None


def model_config(tokenizer):
    return Qwen3_5TextConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=256, intermediate_size=640, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, linear_num_key_heads=4, linear_num_value_heads=4, linear_key_head_dim=32, linear_value_head_dim=32, tie_word_embeddings=True,
        max_position_embeddings=1024, full_attention_interval=2, attn_implementation='eager',
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


@contextmanager
def last_mlp_only_at(mlp, wanted):
    """Nothing reads the last layer's MLP elsewhere, and most of a sequence is prompt."""
    whole = mlp.forward

    def forward(x):
        out = torch.zeros_like(x)
        out[wanted] = whole(x[wanted]).to(x.dtype)
        return out

    mlp.forward = forward
    try:
        yield
    finally:
        del mlp.forward


def answer_logits(model, ids, labels):
    """Logits of the positions that have a label, and those labels. Padding is on the right, where a causal model cannot see it."""
    wanted = labels >= 0
    with last_mlp_only_at(model.model.layers[-1].mlp, wanted):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
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


def schedule(step, steps):
    """Share of the peak rate: warm-up, then constant, then linear to zero over the second half."""
    return min(1, (step + 1) / WARM_UP, max(0.0, (steps - step) / (0.5 * steps)))


def layer_matrices(model):
    return [p for name, p in model.named_parameters() if p.ndim == 2 and 'embed' not in name and min(p.shape) > 8]


def make_optimizers(model, rank, processes):
    """Muon for the layers' matrices, which needs far fewer examples here (each process has its share of them), and AdamW for the rest."""
    matrices = layer_matrices(model)
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    return [torch.optim.Muon(matrices[rank::processes], lr=MATRIX_RATE, weight_decay=0.02, adjust_lr_fn='match_rms_adamw'),
            torch.optim.AdamW(others, lr=OTHER_RATE, weight_decay=0.0, betas=(0.9, 0.98), fused=True)]


@torch.no_grad()
def share_matrices(matrices, processes):
    """Every process gets the matrices that the others updated."""
    for owner in range(processes):
        own = matrices[owner::processes]
        flat = torch.cat([p.reshape(-1) for p in own])
        dist.broadcast(flat, owner)
        for p, part in zip(own, flat.split([p.numel() for p in own])):
            p.copy_(part.view_as(p))


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
    # Words cut in other ways than the usual one teach how tokens are spelled, without which unseen words cannot be copied; most are cut as they will be.
    made = [example(rng) for _ in range(POOL // processes)]
    cut = int(len(made) * DROPPED)
    tokenizer.model.dropout = DROPOUT
    own = encode(tokenizer, made[:cut])
    tokenizer.model.dropout = None
    own += encode(tokenizer, made[cut:])
    dist.all_gather_object(shares, own)
    return batches([sequence for share in shares for sequence in share], random.Random(f'{SEED}:{pool}'))


def save(path, model, optimizers, step, pool, rank):
    """One file of each process (its share of Muon's momentum), and one of the whole."""
    muon, adam = optimizers
    for file, content in ((f'{path}.{rank}', muon.state_dict()), (path, {'model': model.state_dict(), 'adam': adam.state_dict(), 'step': step, 'pool': pool})):
        if file != path or rank == 0:
            torch.save(content, file + '.new')
            os.replace(file + '.new', file)


def train(rank, args):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(args.port))
    dist.init_process_group('gloo', rank=rank, world_size=args.processes, timeout=timedelta(minutes=30))
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    qwen.torch_chunk_gated_delta_rule = one_chunk_rule
    say = (lambda *text: print(*text, flush=True)) if rank == 0 else (lambda *text: None)
    qwen.torch_chunk_gated_delta_rule = one_chunk_rule

    tokenizer = Tokenizer.from_file(f'{args.checkpoint}/tokenizer.json')
    model = Qwen3_5ForCausalLM(model_config(tokenizer))
    parameters = list(model.parameters())
    optimizers = make_optimizers(model, rank, args.processes)
    matrices = layer_matrices(model)
    say(f'{sum(p.numel() for p in parameters):,} parameters, {args.steps} steps')

    step = pool = 0
    state_file = f'{args.checkpoint}/state.pt'
    if os.path.exists(state_file):
        state = torch.load(state_file)
        model.load_state_dict(state['model'])
        optimizers[0].load_state_dict(torch.load(f'{state_file}.{rank}'))
        optimizers[1].load_state_dict(state['adam'])
        step, pool = state['step'], state['pool']
        say(f'going on at step {step}')

    held = evaluation()
    started, first, losses, tokens = time.time(), step, [], 0
    while step < args.steps:
        pool += 1  # A restart begins with a new pool of examples.
        for batch in make_pool(tokenizer, pool, rank, args.processes):
            if step >= args.steps:
                break
            if len(batch) < args.processes:  # What was left over at the end of a pool.
                continue
            for optimizer, peak in zip(optimizers, (MATRIX_RATE, OTHER_RATE)):
                optimizer.param_groups[0]['lr'] = peak * schedule(step, args.steps)
            ids, labels = tensors(batch[rank :: args.processes])
            with torch.autocast('cpu', dtype=torch.bfloat16):
                logits, targets = answer_logits(model, ids, labels)
            loss = F.cross_entropy(logits.float(), targets)
            loss.backward()
            average_gradients(parameters, args.processes)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in optimizers:
                optimizer.step()
            share_matrices(matrices, args.processes)
            model.zero_grad()
            step += 1
            losses.append(loss.item())
            tokens += ids.numel() * args.processes
            if step % 50 == 0:
                elapsed = time.time() - started
                left = elapsed / (step - first) * (args.steps - step)
                say(f'step {step}/{args.steps}  loss {sum(losses) / len(losses):.4f}  {tokens / elapsed:,.0f} tokens/s  {left / 60:.0f} min left')
                losses = []
            if rank == 0 and step % 250 == 0:
                scores = score(model, tokenizer, held)
                say(f'  held-out {sum(scores.values()) / len(scores):.1%}: ' + ' '.join(f'{job} {value:.0%}' for job, value in scores.items()))
            if step % SAVE_STEPS == 0:
                save(state_file, model, optimizers, step, pool, rank)

    save(state_file, model, optimizers, step, pool, rank)
    if rank == 0:
        model.save_pretrained(args.checkpoint)
        generation = {'do_sample': False, 'temperature': 0, 'eos_token_id': [model.config.eos_token_id, model.config.pad_token_id], 'pad_token_id': model.config.pad_token_id}
        with open(f'{args.checkpoint}/generation_config.json', 'w') as file:
            json.dump(generation, file, indent=2)
        scores = score(model, tokenizer, held)
        say(json.dumps({'average': round(sum(scores.values()) / len(scores), 4), 'seconds': round(time.time() - started), **{job: round(value, 4) for job, value in scores.items()}}))
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint')
    parser.add_argument('--steps', type=int, default=3450)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--port', type=int, default=29517)
    args = parser.parse_args()
    torch.multiprocessing.spawn(train, (args,), nprocs=args.processes)


if __name__ == '__main__':
    main()
