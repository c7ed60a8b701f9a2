"""Opinions: a subject, and what is said about it. A held-out one has a subject that training never shows and a sentence of its own."""

from words import Split, held_out, polar_adjectives

SUBJECTS = Split('the movie|the film|the book|the hotel|the room|the food|the pizza|the soup|the service|the waiter|the staff|the phone|the laptop|the battery|the screen|the app|the update|'
                 'the concert|the show|the play|the album|the song|the game|the trip|the flight|the seat|the beach|the museum|the tour|the guide|the weather|the coffee|the cake|the dinner|'
                 'the breakfast|the restaurant|the store|the delivery|the package|the product|the quality|the price|the course|the teacher|the lesson|the class|the party|the wedding|the meeting|'
                 'the presentation|the website|the design|the camera|the keyboard|the car|the engine|the bike|the jacket|the dress|the shoes|the chair|the bed|the apartment|the kitchen|the garden|'
                 'the neighborhood|the doctor|the nurse|the hospital|the gym|the coach|the team|the match|the performance|the acting|the plot|the ending|the story|the sound|the support|'
                 'the customer service|the driver|the bus|the train|the station|the airport|the city|the park|the view|the pool|the spa|the haircut|the massage|the vacuum cleaner|the washing machine|'
                 'the headphones|the mattress|the toy|the puzzle|the recipe|the bakery|the sandwich|the wine|the bar|the cinema|the theater|the exhibition|the festival|the podcast|the lecture'.split('|'))

PREDICATES = {
    1: ('{s} exceeded all my expectations|I love {s}|I really enjoyed {s}|we had a great time with {s}|{s} works perfectly|{s} made my day|I would recommend {s} to everyone|{s} is worth every penny|'
        'we will come back for {s}|{s} could not be better|I am so happy with {s}|{s} was a pleasure|I fell in love with {s}|five stars for {s}|{s} put a smile on my face|thank you for {s}, well done|'
        'I was impressed by {s}|everyone liked {s}|{s} is the best I have ever had|{s} was better than expected|I can not praise {s} enough|{s} solved all my problems|big fan of {s}|'
        'nothing to complain about {s}|{s} was fast and friendly|{s} never lets me down|what a joy {s} was|{s} is a dream come true|I am glad we chose {s}|{s} deserves an award'),
    -1: ('{s} was a waste of money|I hate {s}|I regret buying {s}|we were let down by {s}|{s} stopped working after a week|{s} ruined my day|I would not recommend {s} to anyone|{s} is not worth the money|'
         'we will never come back for {s}|{s} could not be worse|I am so angry about {s}|{s} was a nightmare|I want my money back for {s}|one star for {s}|{s} made me cry|{s} was late and cold|'
         'I was shocked by {s}|everyone complained about {s}|{s} is the worst I have ever had|{s} was worse than expected|I can not stand {s}|{s} gave me nothing but trouble|not a fan of {s}|'
         'nothing good to say about {s}|{s} was slow and unfriendly|{s} always lets me down|what a mess {s} was|{s} was a complete disaster|I am sorry we chose {s}|avoid {s} at all costs'),
}
ADJECTIVE = ('{s} was {adj}|{s} is {adj}|{s} was really {adj}|{s} is so {adj}|{s} was absolutely {adj}|I think {s} is {adj}|what {an} experience, {s} was {adj}|we found {s} {adj}|'
             '{s} seemed very {adj} to me|overall, {s} was {adj}|{s} turned out to be {adj}|honestly, {s} was {adj}|my wife says {s} is {adj}|{s} was {adj} and {adj2}|{s} felt {adj} from start to finish')
NEGATED = '{s} was not {adj}|{s} is not {adj} at all|{s} was never {adj}|I do not find {s} {adj}|{s} was anything but {adj}'
# Common words that the lexicon rates too low to be taken from it.
EXTRA = {1: 'good great nice excellent amazing wonderful fantastic perfect superb lovely delicious brilliant beautiful comfortable clean friendly fun awesome'.split(),
         -1: 'bad terrible awful horrible poor boring dirty slow broken disappointing disgusting rude ugly annoying noisy useless bland dull cheap unreliable'.split()}
TAILS = ('', '', '', '!', '.', '.', ' yesterday', ' this time', ' again', ', in my opinion')


def opinion(rng, held):
    """(text, 'Positive' or 'Negative')."""
    while True:
        sign = rng.choice((1, -1))
        subject = SUBJECTS.pick(rng, held)
        adjectives = lambda s: rng.choice(EXTRA[s] if rng.random() < 0.45 else polar_adjectives(s))
        kind = rng.random()
        if kind < 0.4:
            template, said = rng.choice(PREDICATES[sign].split('|')), sign
        elif kind < 0.85:
            template, said = rng.choice(ADJECTIVE.split('|')), sign
        else:
            template, said = rng.choice(NEGATED.split('|')), 1
            sign = -1
        if held == held_out(template + subject, 4):
            break
    adjective = adjectives(said)
    text = template.format(s=subject if rng.random() < 0.85 else subject.replace('the ', rng.choice(('this ', 'my ', 'our ')), 1), adj=adjective, adj2=adjectives(said), an='an')
    text = text.rstrip('.') + rng.choice(TAILS)
    return (text[0].upper() + text[1:] if rng.random() < 0.85 else text), 'Positive' if sign == 1 else 'Negative'
