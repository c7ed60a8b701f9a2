import { askedWords } from './asked-length.ts';
import { constraintsIn } from './constraints.ts';
import { guessLanguage } from './language.ts';
import { type PromptKind, promptKind } from './prompt-kind.ts';
import { countCharacters, mainScript, tokensOf } from './script.ts';
import { readSystemPrompt } from './system-prompt.ts';
import { instructionOf, type Sample, sampleMessages, type TextMessage } from './text-sample.ts';

/** Marks of difficulty that can be counted. Those of the text are of the last turn, as far as it was looked at (text-sample.ts). */
export interface TextFeatures {
  /** Messages of the user. */
  turns: number;
  /** Question marks. */
  questions: number;
  /** "must", "at most", "do not" and the like, and list items; of the system prompt too. */
  constraints: number;
  /** Share of lines that look like code, 0..1. */
  code: number;
  /** Share of characters in formulae, 0..1, roughly. */
  mathematics: number;
  /** Words that the answer shall have; null when nothing says so. */
  askedWords: number | null;
  /** One of `SCRIPTS`: that of most letters. */
  script: string;
  /** ISO 639-1, a guess; null where nothing is known. */
  language: string | null;
}

/** What can be told of a prompt without a model, in less than a tenth of a millisecond. */
export interface Signals {
  /** Tokens of the prompt, template included. Never exact: where the engine has counted them, its number is to be used. */
  estimatedTokens: number;
  kind: PromptKind;
  text: TextFeatures;
}

/** The template's share: role and markers of a message, and what opens the answer. */
const TOKENS_PER_MESSAGE = 5;
const TOKENS_TO_OPEN = 5;
/** For what was not looked at. */
const UNITS_PER_TOKEN = 4;

const CODE_LINE =
  /^[ \t]*(?:```|(?:import|export|from|const|let|var|def|class|function|public|private|return|if|for|while|#include|select|insert)\b.*[;:{(=]|[}\])])|[;{][ \t]*$/gimu;
const FORMULA = /[\p{L}\d)]\s?[=+*^<>≤≥]\s?[\p{L}\d(]|\\(?:frac|sum|int|sqrt)|[∑∫√π]/gu;
/** Characters that one match of it stands for. */
const FORMULA_UNITS = 4;

/**
 * The signals of a chat request. Long texts are looked at in part, so the time has a bound.
 * @param correction what engines counted over what this estimated (`corrected`), 1 when nothing is known
 */
export function readSignals(messages: readonly TextMessage[], correction = 1): Signals {
  const { samples, rest } = sampleMessages(messages);
  const turn = samples.findLast(({ role }) => role === 'user')?.text ?? samples.at(-1)?.text ?? '';
  const systemText = samples.find(({ role }) => role === 'system' || role === 'developer')?.text ?? '';
  const system = readSystemPrompt(systemText);
  const lowerTurn = turn.toLowerCase();
  const counts = countCharacters(turn);
  const script = mainScript(counts);
  const language = guessLanguage(turn, script);
  const codeLines = matches(turn, CODE_LINE);
  const countsOf = (text: string) => (text === turn ? counts : text === systemText ? system.counts : countCharacters(text));
  const tokensIn = ({ text, scale }: Sample) => scale * tokensOf(countsOf(text), language === 'en');
  const estimate =
    samples.reduce((sum, sample) => sum + tokensIn(sample), rest / UNITS_PER_TOKEN) + messages.length * TOKENS_PER_MESSAGE + TOKENS_TO_OPEN;
  return {
    estimatedTokens: Math.max(1, Math.round(estimate * correction)),
    kind: promptKind(lowerTurn, system.task, codeLines),
    text: {
      turns: messages.reduce((sum, { role }) => sum + (role === 'user' ? 1 : 0), 0),
      questions: matches(turn, /[?？؟]/gu),
      constraints: constraintsIn(lowerTurn) + system.constraints,
      code: Math.min(1, codeLines / (counts.lines + 1)),
      mathematics: Math.min(1, (matches(turn, FORMULA) * FORMULA_UNITS) / Math.max(1, turn.length)),
      askedWords: askedWords(instructionOf(lowerTurn)) ?? system.askedWords,
      script,
      language,
    },
  };
}

const matches = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** How much one prompt moves the correction: a few dozen prompts make it. */
const CORRECTION_WEIGHT = 0.1;
/** A wrong report must not make every prompt look empty or endless. */
const CORRECTION_BOUNDS = [0.25, 4] as const;

/**
 * The correction after an engine has counted a prompt's tokens: an exponentially weighted mean of the ratios, kept within bounds.
 * @param estimated `Signals.estimatedTokens` of that prompt, made with `correction`
 */
export function corrected(correction: number, estimated: number, counted: number): number {
  if (!(estimated > 0) || !(counted > 0)) return correction;
  const ratio = (counted / estimated) * correction;
  const [least, most] = CORRECTION_BOUNDS;
  return Math.min(most, Math.max(least, correction + CORRECTION_WEIGHT * (ratio - correction)));
}
