"""How people ask for each job. The second list of a pair is kept for the held-out test (knowledge jobs are split by phrasing; None: split by content)."""


def _lines(text):
    return [line for line in text.strip().split('\n') if line]


PHRASES = {
    'sentiment': (_lines('''
Is this positive or negative?
What is the sentiment of this sentence?
What is the sentiment?
Classify the sentiment
Classify the sentiment as positive or negative
Sentiment
Tell me if this review is positive or negative
Is the following review positive or negative?
Does this sound positive or negative?
Is this comment positive or negative?
Decide whether the text is positive or negative
Give me the sentiment of this text
Positive or negative?
How does the writer feel, positive or negative?
Label the sentiment of this review
Determine the sentiment of the following sentence
'''), None),
    'language': (_lines('''
What language is this?
Which language is this sentence in?
What language is this sentence written in?
Detect the language
Identify the language
Language
Tell me the language of this text
Name the language of this sentence
In which language is this written?
Which language is it?
Determine the language of the following text
Guess the language
What is the language of this text?
'''), None),
    'topic': (_lines('''
What is the topic of this headline?
Which topic is this headline about?
Classify the topic of this headline
Topic
Is this sports, business, politics, technology, health or entertainment?
Classify as sports, business, politics, technology, health or entertainment
Pick the news section for this headline
Which section does this headline belong to?
Categorize this headline
Name the topic of this news title
What is this headline about?
Give the category of this headline
Tell me the topic of this headline
Which news category is this?
'''), None),
    'email': (_lines('''
Extract the email address
Extract the e-mail address from this text
What is the email address?
Find the email address
Find the email in this sentence
Which email address is mentioned?
Pull out the email address
Email
Give me the email address in this message
Return only the email address
What is the e-mail address in this text?
Get the email from this sentence
'''), None),
    'date': (_lines('''
Extract the date
Extract the date from this sentence
What is the date?
Find the date
Find the date in this text
Which date is mentioned?
Pull out the date
Date
Give me the date in this message
Return only the date
What date does the text mention?
Get the date from this sentence
'''), None),
    'amount': (_lines('''
Extract the amount
Extract the amount of money from this sentence
What is the amount?
Find the amount
Find the price in this text
Which amount is mentioned?
Pull out the amount of money
Amount
Give me the amount in this message
Return only the amount
How much money does the text mention?
Get the amount from this sentence
'''), None),
    'city': (_lines('''
Extract the city
Extract the city from this sentence
What is the city?
Find the city
Find the city in this text
Which city is mentioned?
Pull out the name of the city
City
Give me the city in this message
Return only the city
What city does the text mention?
Get the city from this sentence
'''), None),
    'capital': (_lines('''
What is the capital of {x}?
What's the capital of {x}?
Capital of {x}?
capital of {x}
Name the capital of {x}.
Tell me the capital of {x}.
Which city is the capital of {x}?
What is the capital city of {x}?
Give me the capital of {x}.
{x}: what is its capital?
I need the capital of {x}.
Do you know the capital of {x}?
Can you tell me the capital of {x}?
The capital of {x} is
What city is the capital of {x}?
Which capital does {x} have?
Write the name of the capital of {x}.
For {x}, what is the capital?
What is {x}'s capital?
Country: {x}. Capital?
'''), _lines('''
Could you tell me what the capital of {x} is?
What is the name of the capital of {x}?
Please name the capital city of {x}.
I forgot the capital of {x}, what is it?
Tell me which city is the capital of {x}.
Quick question: capital of {x}?
''')),
    'membership': (_lines('''
Is {a} {b}?
Is {a} {b}? Yes or no.
Answer yes or no: is {a} {b}?
Yes or no: is {a} {b}?
Would you call {a} {b}?
Is it true that {a} is {b}?
Can we say that {a} is {b}?
Does {x} belong to the category {y}?
True or not: {a} is {b}?
Is {a} really {b}?
Tell me whether {a} is {b}.
Do you think {a} is {b}?
Is {a} considered {b}?
Decide: is {a} {b}?
Check if {a} is {b}.
Is {a} an example of {b}?
I wonder, is {a} {b}?
Tell me yes or no, is {a} {b}?
'''), _lines('''
Is {a} {b}, yes or no?
Please tell me, is {a} {b}?
Do people call {a} {b}?
Can you tell me if {a} is {b}?
Would you say {a} is {b}?
''')),
    'plural': (_lines('''
What is the plural of {x}?
What is the plural of "{x}"?
Plural of {x}
Plural of {x}?
Give me the plural of {x}.
Give the plural form of "{x}".
What is the plural form of {x}?
Make this word plural: {x}
Turn {x} into the plural.
How do you write {x} in the plural?
One {x}, two ...?
What's the plural of '{x}'?
Write the plural of {x}.
Tell me the plural of the word {x}.
The plural of {x} is
'''), None),
    'past': (_lines('''
What is the past tense of {x}?
What is the past tense of "{x}"?
Past tense of {x}
Past tense of {x}?
Give me the past tense of {x}.
Give the simple past of "{x}".
What is the simple past of {x}?
Put this verb into the past tense: {x}
Turn {x} into the past tense.
How do you write {x} in the past tense?
Today I {x}, yesterday I ...?
What's the past tense of '{x}'?
Write the past tense of {x}.
Tell me the past tense of the verb {x}.
The past tense of {x} is
'''), None),
    'larger': (_lines('''
Which is larger, {a} or {b}?
Which is bigger, {a} or {b}?
Which number is larger: {a} or {b}?
What is the larger number, {a} or {b}?
Which is greater: {a} or {b}?
Give me the larger of {a} and {b}.
Larger: {a} or {b}?
What is the maximum of {a} and {b}?
'''), None),
    'smaller': (_lines('''
Which is smaller, {a} or {b}?
Which is less, {a} or {b}?
Which number is smaller: {a} or {b}?
What is the smaller number, {a} or {b}?
Give me the smaller of {a} and {b}.
Smaller: {a} or {b}?
What is the minimum of {a} and {b}?
'''), None),
    'greater': (_lines('''
Is {a} greater than {b}?
Is {a} larger than {b}?
Is {a} bigger than {b}?
Is {a} more than {b}?
Yes or no: is {a} greater than {b}?
Is {a} > {b}?
'''), None),
    'less': (_lines('''
Is {a} less than {b}?
Is {a} smaller than {b}?
Yes or no: is {a} less than {b}?
Is {a} < {b}?
'''), None),
    'json': (_lines('''
Make a JSON object with {keys}
Write a JSON object with the keys {keys}
Return JSON with {keys}
Extract {keys} as JSON
Give me a JSON object with {keys}
Convert to JSON with the keys {keys}
JSON with {keys}
Put {keys} into a JSON object
Create a JSON object with {keys} from this sentence
Answer with a JSON object holding {keys}
'''), None),
}
