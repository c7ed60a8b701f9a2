import { describe, expect, it } from 'vitest';
import { corrected, readSignals } from '../../../models/capability/signals.ts';

const signals = (content: string, system?: string) =>
  readSignals([...(system ? [{ role: 'system', content: system }] : []), { role: 'user', content }]);

describe('kind of prompt', () => {
  it.each([
    ['Is this review positive or negative? The soup was cold.', 'classify'],
    ['Welche Sprache ist das? Het regent.', 'classify'],
    ['Find the date in this text: The museum opens on 2 May.', 'extract'],
    ['Extrais les noms: Anna et Paul sont venus.', 'extract'],
    ['Make a JSON object with name and city: Anna lives in Paris.', 'extract'],
    ['Summarize this: the committee met on Monday.', 'rewrite'],
    ['Übersetze ins Englische: Guten Morgen', 'rewrite'],
    ['把下面的话翻译成英文: 你好', 'rewrite'],
    ['What is the capital of Peru?', 'short-answer'],
    ['Plural of box', 'short-answer'],
    ['Why is the sky blue?', 'open'],
    ['Write a poem about rivers.', 'open'],
    ['Write a Python function that reverses a list.', 'code'],
    ['What does this do?\n```\nconst x = f(1);\nreturn x;\n```', 'code'],
    ['What is 17 * 23?', 'maths'],
    ['Solve the equation 2x + 3 = 11.', 'maths'],
  ])('%s -> %s', (prompt, kind) => {
    expect(signals(prompt).kind).toBe(kind);
  });

  it('goes by the system prompt where the turn is bare text', () => {
    expect(signals('The soup was cold.', 'Classify the sentiment of the user message.').kind).toBe('classify');
  });

  it('and all that a system prompt tells is told again under it, by each turn and after many others', () => {
    const systems = Array.from({ length: 40 }, (_, i) => `Classify ticket ${i}${i % 2 ? ' in one word; you must never explain.' : '.'}`);
    const all = (turn: string) => systems.map((system) => signals(turn, system));
    const [first, byOtherTurn, again] = [all('The soup was cold.'), all('Das Essen war kalt.'), all('The soup was cold.')];
    expect(again).toEqual(first);
    expect(byOtherTurn.map(({ text }) => text.constraints)).toEqual(first.map(({ text }) => text.constraints));
    // The last one is known by now, the first one no longer.
    for (const system of [systems[39]!, systems[0]!]) expect(signals('The soup was cold.', system)).toEqual(first[systems.indexOf(system)]);
    expect(first[1]!.text).toMatchObject({ askedWords: 1, constraints: 2 });
    expect(first[0]!.text).toMatchObject({ constraints: 0 });
  });

  it('finds an instruction at either end of a long text, and not what the text talks of', () => {
    const story = 'The old man walked down to the harbour and looked at the ships. '.repeat(200);
    expect(signals(`Summarize this: ${story}`).kind).toBe('rewrite');
    expect(signals(`${story}\nTranslate into French.`).kind).toBe('rewrite');
    expect(signals(`${story} Someone said: translate this. ${story}`).kind).toBe('open');
  });
});

describe('asked length', () => {
  it.each([
    ['Answer in one word: is water wet?', 1],
    ['Write 500 words about rivers.', 500],
    ['Write a 500-word text about rivers.', 500],
    ['Erkläre es in zwei Sätzen.', 36],
    ['Explain in three sentences.', 54],
    ['Yes or no: is it raining?', 1],
    ['Write an essay about Rome.', 500],
    ['Briefly, who was Caesar?', 35],
    ['Who was Caesar?', null],
  ])('%s -> %s words', (prompt, words) => {
    expect(signals(prompt).text.askedWords).toBe(words);
  });
});

describe('what the text looks like', () => {
  it.each([
    ['What is the weather like?', 'Latin', 'en'],
    ['Wie ist das Wetter und was ziehe ich an?', 'Latin', 'de'],
    ['Quel temps fait-il dans la ville ?', 'Latin', 'fr'],
    ['¿Qué tiempo hace en la ciudad?', 'Latin', 'es'],
    ['Какая сегодня погода?', 'Cyrillic', 'ru'],
    ['今日の天気はどうですか', 'Kana', 'ja'],
    ['今天天气怎么样', 'Han', 'zh'],
    ['xyzzy', 'Latin', null],
  ])('%s: %s, %s', (prompt, script, language) => {
    expect(signals(prompt).text).toMatchObject({ script, language });
  });

  it('counts turns, questions and constraints', () => {
    const { text } = readSignals([
      { role: 'system', content: 'You must not mention prices.' },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
      { role: 'user', content: 'Who? When? Use at most three words, without commas.' },
    ]);
    expect(text).toMatchObject({ turns: 2, questions: 2, constraints: 3 });
  });

  it('tells code and formulae from prose', () => {
    expect(signals('for (const x of y) {\n  f(x);\n}').text.code).toBe(1);
    expect(signals('f(x) = x^2 + 3x').text.mathematics).toBeGreaterThan(0.3);
    expect(signals('The soup was cold, and so was the waiter.').text).toMatchObject({ code: 0, mathematics: 0 });
  });
});

describe('prompt tokens', () => {
  // Counted with the vocabulary of Qwen3; the template adds 10.
  it.each([
    [
      'English',
      'The engine yields between layers so that proxied streams are not stalled. A reader finds any rule of the product in one file.',
      25,
    ],
    ['German', 'Die Maschine gibt zwischen den Schichten die Kontrolle ab, damit durchgereichte Datenströme nicht stocken.', 29],
    [
      'Russian',
      'Движок уступает управление между слоями, чтобы потоки не задерживались. Каждое решение взвешивает задержку и стоимость.',
      39,
    ],
    ['Chinese', '引擎在各层之间让出控制权,使代理的数据流不会停顿。每个决定都根据测得的速率和配置的价格,在延迟与成本之间权衡。', 38],
    ['numbers', '482910 3.14159 2026-11-22 1,234,567 +49 30 1234567 99.95 17 2048', 63],
    ['JSON', '{"id": 12, "name": "Anna", "tags": ["a","b"], "address": {"city": "Paris", "zip": "75001"}, "active": true}', 45],
  ])('of %s are estimated within a third', (_, text, counted) => {
    const estimate = signals(text).estimatedTokens - 10;
    expect(estimate).toBeGreaterThan(counted * 0.67);
    expect(estimate).toBeLessThan(counted * 1.33);
  });

  it('grow with what is not looked at', () => {
    const one = signals('The harbour is quiet today. '.repeat(1000)).estimatedTokens;
    const ten = signals('The harbour is quiet today. '.repeat(10_000)).estimatedTokens;
    expect(ten / one).toBeGreaterThan(9);
    expect(ten / one).toBeLessThan(11);
    const turns = Array.from({ length: 100 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: 'The harbour is quiet today.' }));
    expect(readSignals([...turns, { role: 'user', content: 'And now?' }]).estimatedTokens).toBeGreaterThan(1000);
  });

  it('are corrected by what engines count, and a wrong report does not run away with them', () => {
    let correction = 1;
    for (let i = 0; i < 60; i++)
      correction = corrected(correction, readSignals([{ role: 'user', content: 'Hello there' }], correction).estimatedTokens, 26);
    expect(readSignals([{ role: 'user', content: 'Hello there' }], correction).estimatedTokens).toBeCloseTo(26, -1);
    for (let i = 0; i < 200; i++) correction = corrected(correction, 10, 1e12);
    expect(correction).toBe(4);
    expect(corrected(2, 10, 0)).toBe(2);
    expect(corrected(2, Number.NaN, 5)).toBe(2);
  });
});

it('reads any prompt, also without a text or of ten megabytes of one character', () => {
  expect(readSignals([]).estimatedTokens).toBeGreaterThan(0);
  expect(readSignals([{ role: 'user', content: null }]).kind).toBe('open');
  expect(readSignals([{ role: 'user', content: [{ type: 'image_url' }, { type: 'text', text: 'Why?' }] }]).text.questions).toBe(1);
  for (const character of [' ', '\n', 'a', '1', '}', '[', '\ud800', '`'])
    expect(signals(character.repeat(10_000_000)).estimatedTokens).toBeLessThan(20_000_000);
});
