/**
 * What a model reads, when nothing else is given, to find out which columns of its matrices matter. Some of everything that small models are asked for: which
 * columns those are depends little on the text, and a few hundred tokens settle it.
 */
export const CALIBRATION_TEXT = `The river had been rising since noon. By evening the lower fields were under water, and the farmers had moved their cattle to the hill behind the chapel. Nobody was surprised; it happened every few years, when the snow in the mountains melted faster than the valley could carry it away. What was new this time was the bridge. It had stood for a hundred and forty years, and on Tuesday, a little after nine, its middle arch fell into the stream with a sound that people heard in the next village.

Question: What is the difference between weather and climate?
Answer: Weather is what happens in the air on a given day: rain, wind, sunshine, a cold morning. Climate is the pattern of weather in a place over many years. A single hot day says little about the climate, but thirty warmer summers in a row say a great deal.

Summarize in one sentence: The company reported a profit of $4.2 million for the third quarter of 2023, up 12% from the year before, mostly because it sold more replacement parts in Germany, Brazil and Japan; costs for energy and transport fell slightly.
Summary: Quarterly profit rose 12% to $4.2 million on stronger sales of parts abroad and lower costs.

def moving_average(values, window):
    """Mean of each run of \`window\` consecutive values."""
    total = sum(values[:window])
    means = [total / window]
    for old, new in zip(values, values[window:]):
        total += new - old
        means.append(total / window)
    return means

{"name": "Maria Lopez", "email": "maria.lopez@example.org", "city": "Lisbon", "age": 34, "tags": ["customer", "newsletter"], "active": true}

Classify the sentiment of each review as positive, negative or neutral.
1. "The battery lasts two days and the screen is gorgeous." -> positive
2. "It arrived late and the box was empty." -> negative
3. "It is a phone. It makes calls." -> neutral

Translate into French: Where is the nearest train station?
Où se trouve la gare la plus proche ?
Auf Deutsch: Wo ist der nächste Bahnhof? En español: ¿Dónde está la estación de tren más cercana?
最近的火车站在哪里？ 一番近い駅はどこですか。

To make a simple tomato soup, heat two spoons of olive oil in a large pot, add a chopped onion and a clove of garlic, and let them soften for five minutes. Add a kilo of ripe tomatoes, half a liter of stock, salt and pepper. Simmer for twenty minutes, blend until smooth, and serve with bread and a few leaves of basil.

If a train travels 180 kilometers in 2 hours, its average speed is 180 / 2 = 90 kilometers per hour. At that speed it needs 3.5 hours for 315 kilometers, because 315 / 90 = 3.5.

| Planet | Diameter (km) | Moons |
| --- | --- | --- |
| Mars | 6,779 | 2 |
| Earth | 12,742 | 1 |

Dear Dr. Howard, thank you for your letter of May 3rd. I am afraid that I cannot accept the invitation, since I will be traveling with my students at that time. I hope that we can find another date in the autumn. With kind regards, Helen Ward

The heart pumps blood through the body in two loops. In the first, blood that is low in oxygen goes to the lungs, where it takes up oxygen and gives off carbon dioxide. In the second, it returns to the left side of the heart and is pushed through the aorta to the muscles and organs. Valves between the chambers keep it from flowing backward.
`;
