import type { Script } from './script.ts';

/** The commonest words that few other languages have. */
const COMMON_WORDS: Record<string, string> = {
  en: 'the of and to is you that it with for was are this what which who how please my your not does from have be at by or',
  de: 'der die das und ist nicht ein eine mit für auf wie welche welcher bitte ich sie wir den dem im zu von aus wird',
  fr: 'en le les des et est une dans pour que qui sur pas avec quel quelle ce cette je vous nous du au ne mon être',
  es: 'en el los las y es una para que por con qué cuál del se mi su está como pero más este esta hay',
  it: 'il gli che è una per con non di del della sono quale questo questa mio come più nel dei alla',
  pt: 'os uma para que com não qual do da em é são meu seu este esta como mais dos das você ao',
  nl: 'het een en van is niet dat met voor welke wat ik je deze dit zijn op aan naar mijn ook',
};

const LANGUAGES = Object.keys(COMMON_WORDS);
const LANGUAGES_OF = new Map<string, number[]>();
for (const [index, language] of LANGUAGES.entries()) {
  for (const word of COMMON_WORDS[language]!.split(' ')) LANGUAGES_OF.set(word, [...(LANGUAGES_OF.get(word) ?? []), index]);
}

/** Units of a text that are read, which hold about fifty words. */
const READ_UNITS = 320;

const BY_SCRIPT: Partial<Record<Script, string>> = {
  Cyrillic: 'ru',
  Greek: 'el',
  Han: 'zh',
  Kana: 'ja',
  Hangul: 'ko',
  Arabic: 'ar',
  Hebrew: 'he',
  Indic: 'hi',
  Thai: 'th',
};

/** A guess by script and common words, ISO 639-1; null where they say nothing. A script of several languages stands for its largest. */
export function guessLanguage(text: string, script: Script): string | null {
  if (script !== 'Latin') return BY_SCRIPT[script] ?? null;
  const counts = LANGUAGES.map(() => 0);
  for (const word of text
    .slice(0, READ_UNITS)
    .toLowerCase()
    .match(/\p{L}+/gu) ?? []) {
    const languages = LANGUAGES_OF.get(word);
    for (const index of languages ?? []) counts[index]! += 1 / languages!.length;
  }
  const most = Math.max(...counts);
  return most > 0 ? LANGUAGES[counts.indexOf(most)]! : null;
}
