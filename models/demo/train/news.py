"""Headlines of six topics: who, and what happens. Held-out ones pair a subject with a predicate that training never pairs, around unseen cities."""

from words import cities, first_names, held_out, invented, last_names

NEWS = {
    'Sports': (
        '{city} United|The {city} Tigers|Coach {last}|Striker {last}|Goalkeeper {last}|The national team|Tennis star {last}|Champion sprinter {last}|The basketball club of {city}|Olympic swimmer {first} {last}|'
        'Rookie quarterback {last}|The home side|Golfer {last}|Boxer {first} {last}|The women\'s team',
        'wins the final in extra time|loses the semifinal|signs a three-year contract with {city}|scores twice in the derby|breaks the world record in {city}|misses the season after a knee injury|reaches the quarterfinals|'
        'beats {city} 3-1|qualifies for the World Cup|takes gold in the relay|is out of the tournament|draws at home against {city}|celebrates the league title|returns to the pitch|saves a late penalty|tops the table after ten matches'),
    'Business': (
        '{last} Motors|{last} Bank|The retailer {last}|Airline {last}|The stock market in {city}|Investors|Shares of {last}|The startup {inv}|Oil prices|Chipmaker {inv}|The central bank|Carmaker {last}|Supermarket chain {last}|Exporters|{inv} Holdings',
        'reports record profits|cuts a thousand jobs|buys a rival for two billion|raises prices again|opens a factory in {city}|falls after weak earnings|plans a merger with {last}|files for bankruptcy|gains five percent in early trading|'
        'warns of lower sales|doubles its revenue|issues new bonds|sells its branch in {city}|expects slower growth|moves its headquarters to {city}|raises fresh capital'),
    'Politics': (
        'President {last}|The prime minister|Senator {last}|The parliament|The opposition|Mayor {last} of {city}|The foreign minister|Voters in {city}|The ruling party|Governor {last}|The cabinet|Candidate {first} {last}|Lawmakers|The coalition|The ambassador',
        'wins the election|votes on the new tax law|resigns after the scandal|meets allies in {city}|calls for early elections|rejects the budget|signs a peace treaty|loses the majority|debates the immigration bill|'
        'announces a campaign|faces a vote of no confidence|passes a reform of the constitution|leads in the polls|visits {city} for talks|promises lower taxes|vetoes the bill'),
    'Technology': (
        '{inv} Labs|Software maker {inv}|A new smartphone from {inv}|Researchers in {city}|The search engine {inv}|Hackers|A robot from {city}|The app {inv}|Engineers at {inv}|A quantum computer|The social network {inv}|An open source project|The browser {inv}|A satellite|Chip designers',
        'launches a faster processor|fixes a security bug|adds artificial intelligence features|leaks millions of passwords|gets a software update|stores data in the cloud|beats humans at chess|goes offline for hours|'
        'learns to write code|runs on a single chip|unveils a foldable screen|supports virtual reality|encrypts all messages|doubles its battery life|moves to a new operating system|trains a neural network'),
    'Health': (
        'Doctors in {city}|A new vaccine|Hospitals in {city}|A study of {city} patients|Nurses|Surgeon {last}|The health agency|A common drug|Scientists|Patients with diabetes|A blood test|The flu season|Dentists|Regular exercise|A diet rich in vegetables',
        'lowers the risk of heart disease|report more flu cases|treats migraine without side effects|recommends more sleep|slows the disease|cures a rare infection|warns of a virus outbreak|helps against back pain|finds cancer early|'
        'reduces blood pressure|improves memory in older adults|calls for more beds in intensive care|prevents strokes|fights obesity in children|eases symptoms of asthma|strengthens the immune system'),
    'Entertainment': (
        'Singer {first} {last}|Actress {last}|Director {last}|The band {inv}|The film festival in {city}|Rapper {inv}|The musical {inv}|Actor {first} {last}|The sequel|The TV series {inv}|Comedian {last}|Pop star {last}|The opera house in {city}|Novelist {last}|The drummer of {inv}',
        'releases a new album|wins best picture|stars in a comedy|sells out the concert in {city}|gets a second season|tops the charts|cancels the world tour|premieres in {city}|breaks box office records|'
        'sings at the awards|plays the villain in a new movie|films a drama in {city}|publishes a memoir|is nominated for an Oscar|walks the red carpet|reunites on stage'),
}
TOPICS = sorted(NEWS)


def headline(rng, topic, held):
    subjects, predicates = (part.split('|') for part in NEWS[topic])
    while True:
        subject, predicate = rng.choice(subjects), rng.choice(predicates)
        if held_out(subject + predicate, 8) == held:
            break
    text = f'{subject} {predicate}'
    while '{' in text:  # Each slot gets its own value.
        for slot, make in (('{city}', cities().pick), ('{first}', first_names().pick), ('{last}', last_names().pick)):
            text = text.replace(slot, make(rng, held), 1)
        text = text.replace('{inv}', invented(rng, 2).capitalize(), 1)
    kind = rng.random()
    return text if kind < 0.8 else text + '.' if kind < 0.9 else text.lower() if kind < 0.93 else f'{rng.choice(("Breaking", "Today", "Live", "Update"))}: {text}'
