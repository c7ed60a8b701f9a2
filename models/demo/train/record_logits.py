"""Records what Hugging Face transformers says, in float32, at every position of the held-out answers, for test/wasm/demo-model.test.ts.

    python record_logits.py CHECKPOINT ../../../test/fixtures/demo-top1.json
    python record_logits.py CHECKPOINT --pack F32_PACK     compares logits with those of our engine on an f32 pack of the checkpoint
"""

import argparse
import json
import subprocess

import torch
from tokenizers import Tokenizer
from transformers import Qwen3_5ForCausalLM

from data import evaluation
from train import encode

EVERY = 7  # One in so many held-out examples is recorded.


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint')
    parser.add_argument('out', nargs='?')
    parser.add_argument('--pack')
    args = parser.parse_args()
    model = Qwen3_5ForCausalLM.from_pretrained(args.checkpoint, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(f'{args.checkpoint}/tokenizer.json')
    recorded = []
    worst = 0.0
    agreeing = compared = 0
    for number, (ids, prompt) in enumerate(encode(tokenizer, evaluation()[::EVERY])):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        recorded.append({'ids': ids, 'answer': prompt, 'top1': logits[prompt - 1 : -1].argmax(-1).tolist()})
        if args.pack and number % 15 == 0:
            command = ['npm', 'run', '-s', 'models', '--', 'logits', args.pack, '--ids', ','.join(map(str, ids))]
            ours = torch.tensor(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            worst = max(worst, (ours - logits).abs().max().item())
            agreeing += (ours.argmax(-1) == logits.argmax(-1)).sum().item()
            compared += len(ids)
    if args.pack:
        print(f'largest logit difference {worst:.2e} over {compared} positions; top-1 agrees at {agreeing} of them; largest logit {logits.abs().max():.1f}')
    if args.out:
        with open(args.out, 'w') as file:
            file.write('[\n' + ',\n'.join(json.dumps(r, separators=(',', ':')) for r in recorded) + '\n]\n')
        print(f'{len(recorded)} prompts, {sum(len(r["top1"]) for r in recorded)} positions')


if __name__ == '__main__':
    main()
