"""Labelled prompts for the router's calibration of the demo model: in its jobs, with the right answer, and outside of them.

    python calibration.py ../calibration.jsonl --test ../eval.jsonl
    python calibration.py judge.jsonl --test ../eval.jsonl --judge    the same mix of the test's own prompts, to judge the result by

In its jobs the content is held out from training, as in the test, but the prompts are others. Outside of them nothing that the model says is good enough, as the
origin would have answered: those rows are labelled, and their wordings are those of training, so that the test's stay new.
"""

import argparse
import json
import random

from data import SEED, example
from jobs import JOBS

PER_JOB = 40
OUTSIDE = 400


def prompt_of(made):
    return made['messages'][-1]['content']


def draw(rng, job, count, held, seen):
    rows = []
    while len(rows) < count:
        made = example(rng, held, job)
        if prompt_of(made) not in seen:
            seen.add(prompt_of(made))
            rows.append(made)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out')
    parser.add_argument('--test', required=True, help='the test: none of its prompts is drawn')
    parser.add_argument('--judge', action='store_true')
    args = parser.parse_args()
    with open(args.test, encoding='utf-8') as lines:
        test = [json.loads(line) for line in lines]
    if args.judge:
        outside = [made for made in test if made['job'] == 'refusal']
        per_job = len(outside) * PER_JOB // OUTSIDE
        inside = [made for job in JOBS for made in [row for row in test if row['job'] == job][:per_job]]
    else:
        rng, seen = random.Random(SEED + 2), {prompt_of(made) for made in test}
        inside = [made for job in JOBS for made in draw(rng, job, PER_JOB, True, seen)]
        outside = draw(rng, 'refusal', OUTSIDE, False, seen)
    inside = [{'messages': made['messages'], 'expected': made['answer']} for made in inside]
    outside = [{'messages': made['messages'], 'good': 0} for made in outside]
    with open(args.out, 'w', encoding='utf-8') as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + '\n' for row in inside + outside)
    print(f'{len(inside)} prompts in {len(JOBS)} jobs, {len(outside)} outside')


if __name__ == '__main__':
    main()
