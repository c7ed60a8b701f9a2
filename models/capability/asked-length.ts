/** Words of a unit of text. */
const UNIT_WORDS: [RegExp, number][] = [
  [/^(?:wor[dt]|wört|mot|palabra|parol|palavra|woord)/, 1],
  [/^(?:sentence|satz|sätze|phrase|frase|frasi|oraci|zin)/, 18],
  [/^(?:line|zeile|ligne|línea|riga|righe|linha|regel|bullet|item|point|punkt|step)/, 14],
  [/^(?:paragraph|absatz|absätze|paragraphe|párrafo|paragraf|parágrafo|alinea)/, 80],
  [/^page/, 450],
  [/^character/, 0.2],
  [/^token/, 0.7],
];
const UNITS =
  'words?|wörtern?|worten?|wort|mots?|palabras?|parol[ae]|palavras?|woorden|woord|sentences?|sätzen?|satz|phrases?|frases?|frasi|oraciones|zinnen|zin|lines?|zeilen?|lignes?|líneas?|righe|riga|linhas?|regels?|bullets?|bullet points?|items?|points?|punkten?|steps?|paragraphs?|absätzen?|absatz|paragraphes?|párrafos?|paragrafi|parágrafos?|alineas?|pages?|characters?|tokens?';
const NUMBER_WORDS: [RegExp, number][] = [
  [/^(?:two|zwei|deux|dos|due|dois|duas|twee)$/, 2],
  [/^(?:three|drei|trois|tres|tre|três|drie)$/, 3],
  [/^(?:four|vier|quatre|cuatro|quattro|quatro)$/, 4],
  [/^(?:five|fünf|cinq|cinco|cinque|vijf)$/, 5],
  [/^(?:ten|zehn|dix|diez|dieci|dez|tien)$/, 10],
];
const NUMBERS = NUMBER_WORDS.map(([words]) => words.source.slice(4, -2)).join('|');
const ONE = 'a single|single|one|ein(?:em|en|er|e)?|une?|un[ao]?|uma?|één|een';
const COUNTED = new RegExp(`(?<![\\p{L}\\d])(\\d{1,5}|${NUMBERS}|${ONE})[ -](${UNITS})(?!\\p{L})`, 'u');

/** Phrases, and the words of what they usually get; the most telling ones first. */
const PHRASES: [RegExp, number][] = [
  [/\b(?:yes or no|yes\/no|true or false|ja oder nein|oui ou non|sí o no|sì o no|sim ou não|ja of nee)(?!\p{L})|是或否|はいかいいえ/u, 1],
  [/\b(?:only|just) (?:output |return |give |with |reply with )?(?:the |a )?(?:answer|label|result|name|number|category|json)\b/u, 6],
  [
    /\b(?:essay|aufsatz|dissertation|ensayo|saggio|redação|opstel|in detail|detailed|comprehensive|thorough|ausführlich|détaillée?|detallad[oa]|dettagliat[oa]|detalhad[oa]|uitgebreid|blog post|article about|long story)(?!\p{L})|详细|詳しく/u,
    500,
  ],
  [
    /\b(?:brief(?:ly)?|concise(?:ly)?|short(?:ly)?|tl;?dr|kurz|knapp|br[èe]f|brièvement|breve(?:mente)?|kort|beknopt)(?!\p{L})|简短|简要|簡潔/u,
    35,
  ],
];

/** Words of an answer as long as a text asks for ("in one word", "three sentences", "an essay"), or null when it says nothing. @param text lower case */
export function askedWords(text: string): number | null {
  const [, number, unit] = COUNTED.exec(text) ?? [];
  if (number === undefined || unit === undefined) return PHRASES.find(([phrase]) => phrase.test(text))?.[1] ?? null;
  const count = /^\d/.test(number) ? Number(number) : (NUMBER_WORDS.find(([words]) => words.test(number))?.[1] ?? 1);
  const words = UNIT_WORDS.find(([units]) => units.test(unit))?.[1] ?? 1;
  return Math.max(1, Math.round(count * words));
}
