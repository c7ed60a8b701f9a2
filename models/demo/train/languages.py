"""Sentences in seven languages, from fragments written for this script: subject + predicate + ending, and short questions around a noun."""

from words import Split

FRAGMENTS = {
    'English': (
        'The teacher|My neighbor|The old man|Our daughter|The baker|A young woman|His brother|The whole family|The dog|Her grandmother|The doctor|The children|My best friend|The captain',
        'reads a book|is waiting for the bus|wants to buy a house|cooked dinner|lost the keys|is looking for a job|wrote a long letter|sleeps|drinks a cup of tea|forgot the umbrella|plays the piano|paints the kitchen|bought fresh bread|will visit the museum',
        'every morning|in the garden|because it is raining|with a friend|after the meeting|near the station|this evening|before the holidays|for the first time|again|',
        'Where is the {n}?|I would like a {n}, please.|How much does this {n} cost?|The {n} is on the table.|We have never seen such a {n}.|There is no {n} left.|Who took my {n}?|This {n} is too small for us.',
        'bottle|window|chair|train|key|hotel|bridge|lamp|cheese|mirror|ticket|shoe|spoon|knife'),
    'French': (
        "Le professeur|Ma voisine|Le vieil homme|Notre fille|Le boulanger|Une jeune femme|Son frère|Toute la famille|Le chien|Sa grand-mère|Le médecin|L'enfant|Mon meilleur ami|Le capitaine",
        'lit un livre|attend le bus|veut acheter une maison|a préparé le dîner|a perdu les clés|cherche un travail|a écrit une longue lettre|dort|boit une tasse de thé|a oublié le parapluie|joue du piano|peint la cuisine|a acheté du pain frais|va visiter le musée',
        "chaque matin|dans le jardin|parce qu'il pleut|avec un ami|après la réunion|près de la gare|ce soir|avant les vacances|pour la première fois|encore|",
        "Où est la {n} ?|Je voudrais une {n}, s'il vous plaît.|Combien coûte cette {n} ?|La {n} est sur la table.|Nous n'avons jamais vu une telle {n}.|Il n'y a plus de {n}.|Qui a pris ma {n} ?|Cette {n} est trop petite pour nous.",
        'bouteille|fenêtre|chaise|voiture|clé|maison|lampe|montre|pomme|chaussure|cuillère|chambre|rue|valise'),
    'German': (
        'Der Lehrer|Meine Nachbarin|Der alte Mann|Unsere Tochter|Der Bäcker|Eine junge Frau|Sein Bruder|Die ganze Familie|Der Hund|Ihre Großmutter|Der Arzt|Das Kind|Mein bester Freund|Der Kapitän',
        'liest ein Buch|wartet auf den Bus|will ein Haus kaufen|hat das Abendessen gekocht|hat die Schlüssel verloren|sucht eine Arbeit|schrieb einen langen Brief|schläft|trinkt eine Tasse Tee|hat den Regenschirm vergessen|spielt Klavier|streicht die Küche|hat frisches Brot gekauft|wird das Museum besuchen',
        'jeden Morgen|im Garten|weil es regnet|mit einem Freund|nach der Besprechung|in der Nähe des Bahnhofs|heute Abend|vor den Ferien|zum ersten Mal|schon wieder|',
        'Wo ist die {n}?|Ich möchte bitte eine {n}.|Wie viel kostet diese {n}?|Die {n} liegt auf dem Tisch.|Wir haben noch nie so eine {n} gesehen.|Es gibt keine {n} mehr.|Wer hat meine {n} genommen?|Diese {n} ist zu klein für uns.',
        'Flasche|Uhr|Lampe|Tasche|Brücke|Gabel|Zeitung|Birne|Jacke|Karte|Brille|Dose|Straße|Blume'),
    'Spanish': (
        'El profesor|Mi vecina|El hombre viejo|Nuestra hija|El panadero|Una mujer joven|Su hermano|Toda la familia|El perro|Su abuela|El médico|El niño|Mi mejor amigo|El capitán',
        'lee un libro|está esperando el autobús|quiere comprar una casa|preparó la cena|perdió las llaves|busca un trabajo|escribió una carta larga|duerme|bebe una taza de té|olvidó el paraguas|toca el piano|pinta la cocina|compró pan fresco|va a visitar el museo',
        'todas las mañanas|en el jardín|porque está lloviendo|con un amigo|después de la reunión|cerca de la estación|esta noche|antes de las vacaciones|por primera vez|otra vez|',
        '¿Dónde está la {n}?|Quisiera una {n}, por favor.|¿Cuánto cuesta esta {n}?|La {n} está sobre la mesa.|Nunca hemos visto una {n} así.|Ya no queda ninguna {n}.|¿Quién se llevó mi {n}?|Esta {n} es demasiado pequeña para nosotros.',
        'botella|ventana|silla|llave|lámpara|manzana|camisa|cuchara|calle|maleta|carta|flor|puerta|cama'),
    'Italian': (
        'Il professore|La mia vicina|Il vecchio|Nostra figlia|Il panettiere|Una giovane donna|Suo fratello|Tutta la famiglia|Il cane|Sua nonna|Il medico|Il bambino|Il mio migliore amico|Il capitano',
        "legge un libro|aspetta l'autobus|vuole comprare una casa|ha preparato la cena|ha perso le chiavi|cerca un lavoro|ha scritto una lunga lettera|dorme|beve una tazza di tè|ha dimenticato l'ombrello|suona il pianoforte|dipinge la cucina|ha comprato il pane fresco|visiterà il museo",
        'ogni mattina|nel giardino|perché piove|con un amico|dopo la riunione|vicino alla stazione|questa sera|prima delle vacanze|per la prima volta|di nuovo|',
        "Dov'è la {n}?|Vorrei una {n}, per favore.|Quanto costa questa {n}?|La {n} è sul tavolo.|Non abbiamo mai visto una {n} così.|Non c'è più nessuna {n}.|Chi ha preso la mia {n}?|Questa {n} è troppo piccola per noi.",
        'bottiglia|finestra|sedia|chiave|lampada|mela|camicia|strada|valigia|lettera|porta|forchetta|borsa|scatola'),
    'Dutch': (
        'De leraar|Mijn buurvrouw|De oude man|Onze dochter|De bakker|Een jonge vrouw|Zijn broer|De hele familie|De hond|Haar grootmoeder|De dokter|Het kind|Mijn beste vriend|De kapitein',
        'leest een boek|wacht op de bus|wil een huis kopen|heeft het avondeten gekookt|is de sleutels kwijt|zoekt een baan|schreef een lange brief|slaapt|drinkt een kopje thee|is de paraplu vergeten|speelt piano|schildert de keuken|heeft vers brood gekocht|gaat het museum bezoeken',
        'elke ochtend|in de tuin|omdat het regent|met een vriend|na de vergadering|bij het station|vanavond|voor de vakantie|voor de eerste keer|alweer|',
        'Waar is de {n}?|Ik wil graag een {n}, alstublieft.|Hoeveel kost deze {n}?|De {n} ligt op tafel.|We hebben nog nooit zo een {n} gezien.|Er is geen {n} meer.|Wie heeft mijn {n} meegenomen?|Deze {n} is te klein voor ons.',
        'fles|stoel|sleutel|lamp|brug|vork|krant|jas|kaart|bril|doos|straat|bloem|spiegel'),
    'Portuguese': (
        'O professor|A minha vizinha|O homem velho|A nossa filha|O padeiro|Uma mulher jovem|O irmão dele|Toda a família|O cachorro|A avó dela|O médico|A criança|O meu melhor amigo|O capitão',
        'lê um livro|está à espera do ônibus|quer comprar uma casa|preparou o jantar|perdeu as chaves|procura um emprego|escreveu uma longa carta|dorme|bebe uma xícara de chá|esqueceu o guarda-chuva|toca piano|pinta a cozinha|comprou pão fresco|vai visitar o museu',
        'todas as manhãs|no jardim|porque está chovendo|com um amigo|depois da reunião|perto da estação|esta noite|antes das férias|pela primeira vez|de novo|',
        'Onde está a {n}?|Eu queria uma {n}, por favor.|Quanto custa esta {n}?|A {n} está em cima da mesa.|Nunca vimos uma {n} assim.|Não há mais nenhuma {n}.|Quem levou a minha {n}?|Esta {n} é pequena demais para nós.',
        'garrafa|janela|cadeira|chave|lâmpada|maçã|camisa|colher|rua|mala|carta|flor|porta|caixa'),
}

# More content words per language, so that the sentences around the fragments vary: "X and Y are ...", from Faker's lists at run time.
LINKS = {
    'English': 'The {a} and the {b} are very important for us.|This is about {a} and {b}.|We always talk about {a}, but not about {b}.|What do you think of {a}?|I do not understand why {a} is more than {b}.',
    'French': 'Les mots {a} et {b} sont très importants pour nous.|Il est question de {a} et de {b}.|Nous parlons toujours de {a}, mais pas de {b}.|Que pensez-vous de {a} ?|Je ne comprends pas pourquoi {a} est plus que {b}.',
    'German': 'Die Wörter {a} und {b} sind sehr wichtig für uns.|Es geht um {a} und {b}.|Wir sprechen immer über {a}, aber nicht über {b}.|Was halten Sie von {a}?|Ich verstehe nicht, warum {a} mehr ist als {b}.',
    'Spanish': 'Las palabras {a} y {b} son muy importantes para nosotros.|Se trata de {a} y de {b}.|Siempre hablamos de {a}, pero no de {b}.|¿Qué piensa usted de {a}?|No entiendo por qué {a} es más que {b}.',
    'Italian': 'Le parole {a} e {b} sono molto importanti per noi.|Si tratta di {a} e di {b}.|Parliamo sempre di {a}, ma non di {b}.|Che cosa pensi di {a}?|Non capisco perché {a} è più di {b}.',
    'Dutch': 'De woorden {a} en {b} zijn erg belangrijk voor ons.|Het gaat over {a} en {b}.|Wij praten altijd over {a}, maar niet over {b}.|Wat vindt u van {a}?|Ik begrijp niet waarom {a} meer is dan {b}.',
    'Portuguese': 'As palavras {a} e {b} são muito importantes para nós.|Trata-se de {a} e de {b}.|Falamos sempre de {a}, mas não de {b}.|O que você acha de {a}?|Eu não entendo por que {a} é mais do que {b}.',
}
LOCALES = {'English': 'en_US', 'French': 'fr_FR', 'German': 'de_DE', 'Spanish': 'es_ES', 'Italian': 'it_IT', 'Dutch': 'nl_NL'}


def _faker_words(language):
    import importlib

    if language not in LOCALES:
        return Split('trabalho cidade dinheiro tempo água escola mundo saúde governo história comida música viagem família coração verdade amizade mercado felicidade noite '
                     'manhã praia floresta cidadão educação segurança justiça liberdade economia ciência natureza paixão sorte memória palavra pergunta resposta'.split())
    words = importlib.import_module(f'faker.providers.lorem.{LOCALES[language]}').Provider.word_list
    return Split([w for w in words if len(w) >= 4 and w.isalpha()])


_TABLE = {}
for _language, _parts in FRAGMENTS.items():
    subjects, predicates, endings, questions, things = (part.split('|') for part in _parts)
    _TABLE[_language] = (Split(subjects), Split(predicates), endings, questions, Split(things), LINKS[_language].split('|'), _faker_words(_language))

LANGUAGES = sorted(_TABLE)


def sentence(rng, language, held):
    """One sentence; a held-out one is made of a subject, predicate or noun that training never shows in this language."""
    subjects, predicates, endings, questions, things, links, words = _TABLE[language]
    kind = rng.random()
    if kind < 0.4:
        text = f'{subjects.pick(rng, held)} {predicates.pick(rng, held)} {rng.choice(endings)}'.strip() + '.'
    elif kind < 0.7:
        text = rng.choice(questions).replace('{n}', things.pick(rng, held))
    else:
        text = rng.choice(links).replace('{a}', words.pick(rng, held)).replace('{b}', words.pick(rng, held))
    return text if rng.random() < 0.9 else text.rstrip('.')
