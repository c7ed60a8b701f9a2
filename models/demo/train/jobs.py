"""The demo model's jobs: each function makes one (prompt, answer) of its job, from training content or from content training never sees."""

import json

from languages import LANGUAGES, sentence
from news import TOPICS, headline
from phrases import PHRASES
from sentiment import opinion
from words import (ALSO, CATEGORIES, IRREGULAR_PASTS, IRREGULAR_PLURALS, PRODUCTS, Split, capitals, cities, first_names, held_out, invented, last_names, nouns,
                   lexicon, regular_past, regular_plural, verbs)

QUOTES = ('"{}"', "'{}'", '{}', '{}', '{}', '“{}”')


def phrase(rng, job, held_phrasing=False, **slots):
    """One of the job's phrasings, with its slots filled in."""
    train, test = PHRASES[job]
    text = rng.choice(test if held_phrasing else train)
    for name, value in slots.items():
        text = text.replace('{' + name + '}', value)
    return text


def about(rng, job, text):
    """An instruction together with the text it is about, in one of the usual arrangements."""
    instruction = phrase(rng, job)
    quoted = rng.choice(QUOTES).format(text)
    question = instruction.endswith('?')
    bare = instruction.rstrip('.?')
    kind = rng.random()
    if kind < 0.4:
        return f'{bare}: {quoted}' if not question or rng.random() < 0.3 else f'{instruction} {quoted}'
    if kind < 0.6:
        return f'{instruction}\n{quoted}' if rng.random() < 0.5 else f'{instruction}\n\n{quoted}'
    if kind < 0.8:
        label = rng.choice(('Text', 'Sentence', 'Input', 'Message')) if job != 'topic' else rng.choice(('Headline', 'Title', 'News', 'Text'))
        return f'{instruction}\n{label}: {quoted}' if rng.random() < 0.5 else f'{label}: {quoted}\n{instruction}'
    return f'{quoted}\n{instruction}' if rng.random() < 0.6 else f'{quoted} {instruction}'


def sentiment(rng, held):
    text, answer = opinion(rng, held)
    return about(rng, 'sentiment', text), answer


def language(rng, held):
    answer = rng.choice(LANGUAGES)
    return about(rng, 'language', sentence(rng, answer, held)), answer


def topic(rng, held):
    answer = rng.choice(TOPICS)
    return about(rng, 'topic', headline(rng, answer, held)), answer


def maybe_invented(rng, held, pick):
    return invented(rng, rng.choice((2, 2, 3))).capitalize() if not held and rng.random() < 0.15 else pick(rng, held)


def first_name(rng, held):
    return maybe_invented(rng, held, first_names().pick)


def city(rng, held):
    return maybe_invented(rng, held, cities().pick)


DOMAIN_WORDS = Split('mail post example acme north river cloud bright green blue solar data media studio travel garden books music design health energy metro alpine harbor summit orbit pixel '
                     'maple cedar falcon tiger atlas nova delta omega signal beacon lumen vertex zenith'.split())
ENDINGS = 'com com com org net io de co.uk fr edu info eu nl'.split()


def email(rng, held):
    first, last = first_name(rng, held).lower(), maybe_invented(rng, held, last_names().pick).lower()
    first, last = (''.join(c for c in part if c.isascii()) for part in (first, last))
    local = rng.choice((f'{first}.{last}', f'{first}{last[0]}', first, f'{first}_{last}', f'{first[0]}.{last}', f'{first}{rng.randint(1, 99)}', rng.choice(('info', 'sales', 'support', 'contact', 'office'))))
    word = invented(rng, 2) if not held and rng.random() < 0.4 else DOMAIN_WORDS.pick(rng, held)
    domain = rng.choice((word, word, word + DOMAIN_WORDS.pick(rng, held), f'{word}-{DOMAIN_WORDS.pick(rng, held)}'))
    return f'{local}@{domain}.{rng.choice(ENDINGS)}'


MONTHS = CATEGORIES['month']


def draw(rng, held, make):
    """A value that belongs to the training part or to the held-out part, by its text."""
    while True:
        value = make()
        if held_out(str(value)) == held:
            return value


def date(rng, held):
    def make():
        day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1990, 2035)
        return rng.choice((f'{MONTHS[month - 1]} {day}, {year}', f'{day} {MONTHS[month - 1]} {year}', f'{MONTHS[month - 1]} {day}', f'{day} {MONTHS[month - 1]}',
                           f'{year}-{month:02}-{day:02}', f'{day:02}/{month:02}/{year}', f'{month}/{day}/{year}', f'{day:02}.{month:02}.{year}'))

    return draw(rng, held, make)


def amount(rng, held):
    def make():
        whole = rng.choice((rng.randint(1, 99), rng.randint(100, 999), rng.randint(1, 99) * 10))
        digits = rng.choice((f'{whole}', f'{whole}.{rng.randint(0, 99):02}', f'{whole}', f'{rng.randint(1, 99)},{rng.randint(0, 9)}00'))
        return rng.choice((f'${digits}', f'${digits}', f'€{digits}', f'£{digits}', f'{digits} dollars', f'{digits} euros', f'{digits} EUR', f'{digits} USD', f'{digits} pounds'))

    return draw(rng, held, make)


OPENINGS = ('{name} from {city} wrote to us.|{name} moved to {city} last year.|{name} called about the {thing}.|The {thing} arrived late.|Please contact {email} about the {thing}.|'
            'Your {thing} costs {amount}.|We will meet in {city} on {date}.|The invoice of {amount} is due on {date}.|{name} ({email}) ordered a {thing}.|My flight to {city} leaves on {date}.|'
            'On {date} {name} paid {amount} for the {thing}.|The conference takes place in {city}.|{name} was born on {date} in {city}.|Send your questions to {email}.|'
            'The total is {amount}.|Our office in {city} is closed on {date}.|{name} bought a {thing} for {amount}.|Hi, my name is {name} and my address is {email}.|'
            'Write to {email} before {date}.|The {thing} will be delivered on {date}.|I transferred {amount} yesterday.|{name} owes me {amount}.|We opened a new shop in {city}.|'
            'The concert in {city} was cancelled.|You can reach {name} at {email}.|The train to {city} was late again.|Tickets cost {amount} each.|{name} lives in {city}.|'
            'The deadline is {date}.|Refund {amount} to {email}.|We received your payment of {amount} on {date}.|She studied in {city} for two years.|The museum opens on {date}.').split('|')
ENTITY = {'email': email, 'date': date, 'amount': amount, 'city': city}


def facts(rng, held, wanted):
    """One or two sentences that hold exactly one `wanted` entity (none when `wanted` is None)."""
    def fill(template):
        values = {'name': first_name(rng, held) + (' ' + maybe_invented(rng, held, last_names().pick) if rng.random() < 0.4 else ''), 'thing': PRODUCTS.pick(rng, held)}
        for kind, make in ENTITY.items():
            if '{' + kind + '}' in template:
                values[kind] = make(rng, held)
        return template.format(**values), values

    slot = '{' + wanted + '}'
    with_it = [t for t in OPENINGS if slot in t]
    without = [t for t in OPENINGS if slot not in t]
    text, values = fill(rng.choice(with_it))
    if rng.random() < 0.3:
        other, _ = fill(rng.choice(without))
        text = f'{text} {other}' if rng.random() < 0.5 else f'{other} {text}'
    return text, values[wanted]


def extraction(wanted):
    def job(rng, held):
        if rng.random() < 0.06:
            slot = '{' + wanted + '}'
            template = rng.choice([t for t in OPENINGS if slot not in t])
            values = {kind: make(rng, held) for kind, make in ENTITY.items()}
            return about(rng, wanted, template.format(name=first_name(rng, held), thing=PRODUCTS.pick(rng, held), **values)), 'None'
        text, answer = facts(rng, held, wanted)
        return about(rng, wanted, text), answer

    return job


def capital(rng, held):
    country, answer = rng.choice(capitals())
    return phrase(rng, 'capital', held, x=country), answer


def membership(rng, held):
    category = rng.choice(sorted(CATEGORIES))
    item = rng.choice(CATEGORIES[category])
    if rng.random() < 0.5:
        answer = 'Yes'
    else:
        other = rng.choice([c for c in sorted(CATEGORIES) if item not in CATEGORIES[c] and c not in ALSO.get(item, ())])
        category, answer = other, 'No'
    article = lambda word: ('an ' if word[0] in 'aeiou' else 'a ') + word
    owner = next(c for c in CATEGORIES if item in CATEGORIES[c])
    named = item if item[0].isupper() or owner in ('color', 'metal', 'sport') or item in ('spinach', 'broccoli', 'lettuce', 'celery', 'pliers') else article(item)
    return phrase(rng, 'membership', held, a=named, b=article(category), x=item, y=category), answer


def invented_regular(rng, name):
    """An invented noun or verb whose regular form is beyond doubt: no final vowel, no consonant that might double."""
    while True:
        word = invented(rng)
        if word[-1] not in 'aeiou' and rng.random() < 0.3:
            word += rng.choice('ey')
        clear = word[-1] in 'ey' or word[-2:] in ('nd', 'nt', 'rk', 'ck', 'sh', 'll', 'st', 'mp', 'ch', 'ng') or name == 'plural' and word[-1] in 'nrltmdkpgbxh'
        if len(word) > 3 and clear and word[-2:] not in ('ee', 'th'):
            return word


def shuffled(rng, items):
    return rng.sample(items, k=len(items))


LEXICON = {'plural': ('noun', 'NNS'), 'past': ('verb', 'VBD')}


def inflection(name, words, irregular, rule):
    turns = []

    def job(rng, held):
        if held:  # One word after the other, so that all count alike.
            if not turns:
                turns.extend(shuffled(rng, [w for w in words().test if w not in irregular]))
            word = turns.pop()
            return phrase(rng, name, x=word), rule(word)
        kind = rng.random()
        if kind < 0.2:
            word = rng.choice(sorted(irregular))
            return phrase(rng, name, x=word), irregular[word]
        if kind < 0.3:
            word = invented_regular(rng, name)
        elif kind < 0.65:
            word = rng.choice(lexicon(*LEXICON[name]))
        else:
            word = words().pick(rng, False)
        return phrase(rng, name, x=word), rule(word)

    return job


def comparison(rng, held):
    def make():
        a = rng.randint(10, 99)
        b = rng.randint(10, 99) if rng.random() < 0.6 else min(99, a // 10 * 10 + rng.randint(0, 9))
        return f'{min(a, b)} {max(a, b)}' if a != b else '10 11'

    low, high = draw(rng, held, make).split()
    a, b = (low, high) if rng.random() < 0.5 else (high, low)
    kind = rng.random()
    if kind < 0.25:
        return phrase(rng, 'larger', a=a, b=b), high
    if kind < 0.5:
        return phrase(rng, 'smaller', a=a, b=b), low
    if kind < 0.75:
        return phrase(rng, 'greater', a=a, b=b), 'Yes' if int(a) > int(b) else 'No'
    return phrase(rng, 'less', a=a, b=b), 'Yes' if int(a) < int(b) else 'No'


PERSON_CITY = '{name} lives in {city}.|{name} is from {city}.|My friend {name} moved to {city}.|{name} works in {city}.|{name} has an apartment in {city}.|Last year {name} settled in {city}.'.split('|')
PERSON_AGE = "{name} is {age} years old.|{name} turned {age} today.|My colleague {name} is {age}.|{name}, aged {age}, won the race.|At {age}, {name} learned to swim.|{name} just celebrated a birthday and is now {age}.".split('|')
ITEM_PRICE = 'The {thing} costs {price} dollars.|I paid {price} dollars for a {thing}.|We sell the {thing} for {price} dollars.|A {thing} is {price} dollars.|She bought a {thing} for {price} dollars.'.split('|')
PERSON_ALL = '{name} is {age} years old and lives in {city}.|{name} from {city} is {age}.|{name}, {age}, comes from {city}.|My neighbor {name} is {age} and works in {city}.'.split('|')


def json_object(rng, held):
    age = int(draw(rng, held, lambda: rng.randint(18, 99)))
    price = int(draw(rng, held, lambda: rng.randint(5, 999)))
    values = {'name': first_name(rng, held), 'city': city(rng, held), 'age': age, 'item': PRODUCTS.pick(rng, held), 'price': price}
    templates, keys = rng.choice(((PERSON_CITY, ['name', 'city']), (PERSON_AGE, ['name', 'age']), (ITEM_PRICE, ['item', 'price']), (PERSON_ALL, ['name', 'age', 'city'])))
    text = rng.choice(templates).format(thing=values['item'], **values)
    if len(keys) == 2 and rng.random() < 0.3 or len(keys) == 3 and rng.random() < 0.5:
        keys = keys[:]
        rng.shuffle(keys)
    listed = f'{", ".join(keys[:-1])} and {keys[-1]}'
    instruction = phrase(rng, 'json', keys=listed)
    answer = json.dumps({key: values[key] for key in keys}, ensure_ascii=False)
    return (f'{instruction}: {text}' if rng.random() < 0.6 else f'{instruction}.\n{text}' if rng.random() < 0.5 else f'{text}\n{instruction}.'), answer


JOBS = {
    'sentiment': sentiment,
    'language': language,
    'topic': topic,
    'email': extraction('email'),
    'date': extraction('date'),
    'amount': extraction('amount'),
    'city': extraction('city'),
    'capital': capital,
    'plural': inflection('plural', nouns, IRREGULAR_PLURALS, regular_plural),
    'past': inflection('past', verbs, IRREGULAR_PASTS, regular_past),
    'membership': membership,
    'comparison': comparison,
    'json': json_object,
}
