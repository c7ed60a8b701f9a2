"""The demo model's data: endless seeded training examples, and the held-out test.

    python data.py --show 20            a look at training examples
    python data.py --eval ../eval.jsonl the held-out prompts with their answers (written once, then committed)
"""

import argparse
import collections
import json
import random

from jobs import JOBS
from offtopic import off_topic

REFUSAL = "Sorry, I can't help with that."
SEED = 2035
EVAL_PER_JOB = 80
# The harder a job is to learn, the more often it is shown.
WEIGHTS = {'membership': 3, 'comparison': 3.5, 'plural': 3, 'past': 5, 'json': 3.5, 'email': 1.6, 'language': 1.2, 'capital': 0.8, 'date': 0.8, 'amount': 0.5, 'city': 0.8, 'sentiment': 0.9, 'topic': 0.4, 'refusal': 2.6}

SYSTEM = '''You are a helpful assistant.
You are a helpful assistant. Answer briefly.
Answer briefly.
Answer as briefly as possible.
Be concise.
You are a friendly assistant.
Reply with the answer only.
You answer small questions in a few words.
Give short answers.
You are an assistant at the edge. Keep it short.
Answer in English.
You are a precise assistant. Answer only what is asked.
Do not explain your answer.
Only output the result.
You are a language expert.
You are a chatbot.
Follow the instructions of the user.
Respond in one line.
You work for a small company and help with texts.
Keep your answers short and exact.
You are an AI assistant.
You help users with simple tasks.'''.split('\n')
HELD_OUT_SYSTEM = ['You are a careful assistant. Be brief.', 'Give only the answer.', 'You are an assistant for short tasks.', 'Reply in as few words as possible.']

# Jobs whose instruction may stand in the system prompt, with the bare text as the user's message.
ROLES = {
    'sentiment': ['Classify the sentiment of the user message as positive or negative.', 'You are a sentiment classifier. Answer Positive or Negative.'],
    'language': ['Name the language of the user message.', 'You are a language detector. Answer with the name of the language.'],
    'topic': ['You classify headlines: Sports, Business, Politics, Technology, Health or Entertainment.', 'Answer with the topic of the headline.'],
    'email': ['Extract the email address from the message.', 'Return only the email address found in the message.'],
    'date': ['Extract the date from the message.'],
    'amount': ['Extract the amount of money from the message.'],
    'city': ['Extract the city from the message.'],
}
POLITE = ('Please {}', 'Hi, {}', 'Hello! {}', 'Hey, {}', 'please {}', 'Can you help me? {}', 'Question: {}', 'Task: {}')
AFTER = (' Thanks!', ' Thank you.', ' Answer in one word.', ' Please be brief.', ' Just the answer.', ' Only the answer, please.')


def surface(rng, prompt):
    """The same request as different people would type it; the text it is about stays as it is."""
    first = prompt.split(' ', 1)[0]
    instruction_first = first[:1].isupper() and first.isalpha() and len(first) > 1
    if instruction_first and rng.random() < 0.12:
        prompt = prompt[0].lower() + prompt[1:]
    if rng.random() < 0.1 and '\n' not in prompt:
        prompt = rng.choice(POLITE).format(prompt[0].lower() + prompt[1:] if instruction_first and rng.random() < 0.6 else prompt)
    if prompt.endswith('?') and rng.random() < 0.12:
        prompt = prompt[:-1]
    elif prompt.endswith(('?', '.')) and rng.random() < 0.06:
        prompt += rng.choice(AFTER)
    return prompt


def job_prompt(rng, job, held):
    if job == 'refusal':
        return off_topic(rng, held), REFUSAL
    return JOBS[job](rng, held)


def bare_text(rng, job, held):
    """The content of a job without its instruction: what a user sends when the system prompt holds the instruction."""
    import jobs
    import languages
    import news
    import sentiment

    if job == 'sentiment':
        return sentiment.opinion(rng, held)
    if job == 'language':
        answer = rng.choice(languages.LANGUAGES)
        return languages.sentence(rng, answer, held), answer
    if job == 'topic':
        answer = rng.choice(news.TOPICS)
        return news.headline(rng, answer, held), answer
    return jobs.facts(rng, held, job)


def example(rng, held=False, job=None):
    """{'job', 'messages', 'answer'}: `messages` is what a client sends."""
    names = [*JOBS, 'refusal']
    job = job or rng.choices(names, [WEIGHTS.get(name, 1) for name in names])[0]
    system = None
    if job in ROLES and rng.random() < 0.1:
        system = rng.choice(ROLES[job])
        prompt, answer = bare_text(rng, job, held)
    else:
        prompt, answer = job_prompt(rng, job, held)
        prompt = surface(rng, prompt)
        if rng.random() < 0.3:
            system = rng.choice(HELD_OUT_SYSTEM if held else SYSTEM)
    messages = [{'role': 'user', 'content': prompt}]
    if rng.random() < 0.05:  # A turn before this one.
        before = rng.choice(names)
        earlier, said = job_prompt(rng, before, held)
        messages = [{'role': 'user', 'content': surface(rng, earlier)}, {'role': 'assistant', 'content': said}, *messages]
    if system:
        messages = [{'role': 'system', 'content': system}, *messages]
    return {'job': job, 'messages': messages, 'answer': answer}


def evaluation():
    """The held-out test: as many examples of every job, no prompt twice."""
    rng = random.Random(SEED + 1)
    examples = []
    for job in [*JOBS, 'refusal']:
        seen = set()
        while len(seen) < EVAL_PER_JOB * (2 if job == 'refusal' else 1):
            made = example(rng, True, job)
            if made['messages'][-1]['content'] not in seen:
                seen.add(made['messages'][-1]['content'])
                examples.append(made)
    return examples


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--show', type=int)
    parser.add_argument('--held', action='store_true')
    parser.add_argument('--job')
    parser.add_argument('--eval')
    args = parser.parse_args()
    if args.eval:
        examples = evaluation()
        # Proof that the split holds: no held-out prompt is among a large sample of what training would show.
        rng = random.Random(SEED)
        shown = {example(rng)['messages'][-1]['content'] for _ in range(200_000)}
        leaked = [e for e in examples if e['messages'][-1]['content'] in shown]
        print(f'{len(examples)} held-out examples; {len(leaked)} of them also appear among 200,000 training examples', collections.Counter(e['job'] for e in leaked))
        for e in leaked[:20]:
            print('  ', e)
        with open(args.eval, 'w', encoding='utf-8') as out:
            out.writelines(json.dumps(e, ensure_ascii=False) + '\n' for e in examples)
    rng = random.Random(SEED)
    for _ in range(args.show or 0):
        print(json.dumps(example(rng, args.held, args.job), ensure_ascii=False))


if __name__ == '__main__':
    main()
