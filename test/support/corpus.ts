import { readFileSync } from 'node:fs';
import { randomIntegers, randomText } from './random-text.ts';

const ROOT = new URL('../../', import.meta.url);
const FILES = [
  'package-lock.json',
  'node_modules/hono/README.md',
  'node_modules/zod/README.md',
  'models/pack/manifest.ts',
  'models/tokenizer/tokenizer.ts',
  'LICENSE',
];
const FILE_CHARACTERS = 60_000;

const LANGUAGES = `Der Zug fährt um 7:45 Uhr über die Brücke; „Grüße aus Köln“, schrieb er. L’été où j’ai vu l’océan, ça n’a pas duré. ¿Dónde está el niño? Žluťoučký kůň.
Сегодня хорошая погода, и мы идём гулять в парк. Η θάλασσα είναι γαλάζια σήμερα. השמש זורחת היום על הים. الشمس مشرقة اليوم والبحر هادئ جدًّا.
今天天气很好，我们去公园散步吧。他说：“三点见！”　明日は雨が降るかもしれません。カタカナとひらがなと漢字。오늘은 날씨가 맑고 바람이 붑니다.
आज मौसम अच्छा है और हम बगीचे में चलेंगे। วันนี้อากาศดีมาก เราไปเดินเล่นกัน Hôm nay trời đẹp quá. আজ আকাশ পরিষ্কার। இன்று வானிலை நன்றாக உள்ளது.
😀😃😄 👨‍👩‍👧‍👦 🇩🇪🇫🇷🇯🇵 👍🏽 ❤️ ✈️ 1️⃣ ∑∫√∞ ≠ ≤ → ⇒ ½ ⅓ ² ³ Ⅷ ① 𝒳𝒴 ﬁ ﬂ
`;

/** Code, prose in many scripts and seeded random texts with control characters, marks and runs of white space. */
export function corpus(randomTexts: number): string[] {
  const files = FILES.map((path) => readFileSync(new URL(path, ROOT), 'utf8').slice(0, FILE_CHARACTERS));
  const next = randomIntegers(20261121);
  return [...files, LANGUAGES, LANGUAGES.normalize('NFD'), ...Array.from({ length: randomTexts }, () => randomText(next))];
}
