import { instructionOf } from './text-sample.ts';

/** What a prompt asks for. It says how long an answer usually is, and how likely a small model manages it. */
const PROMPT_KINDS = ['classify', 'extract', 'rewrite', 'short-answer', 'open', 'code', 'maths'] as const;
export type PromptKind = (typeof PROMPT_KINDS)[number];

const CODE_TASK =
  /\b(?:write|implement|fix|debug|refactor|complete|optimi[sz]e|explain|review|schreib\w*|escrib\w*|scriv\w*|escrev\w*|schrijf)\b.{0,40}\b(?:code|function|script|program|quer(?:y|ies)|regex|regular expression|class|algorithm|sql|html|css|python|javascript|typescript|rust|java|bash|funktion|programm|fonction|función|funzione|função|functie)\b|\b(?:stack trace|traceback|compile error|segfault|unit tests?)\b|代码|コード/su;

const MATHS_TASK =
  /\d\s*(?:[+*×÷^=]|plus|minus|times|divided by|multiplied by|to the power of|mal|geteilt durch|fois|por|per)\s*\d|\d\s+[-/]\s+\d|\b(?:solve|equation|integral|derivative|factori[sz]e|square root|prime factors?|calculate|compute|probability of|berechne|gleichung|calcule[rz]?|équation|calcula|ecuación|calcola|bereken)\b|计算|求解|方程/u;

const CLASSIFY_TASK =
  /\b(?:classif\w*|categori[sz]e|sentiment|positive or negative|spam or|true or false|(?:which|what) (?:\w+ )?(?:category|language|topic|label|class|genre|section)|(?:language|topic|category|genre|tone|intent) of (?:this|the|the following) |language detect\w*|(?:identify|name|detect|determine|guess) the (?:language|topic|category|tone|intent)|klassifizier\w*|einordne\w*|stimmung|welche sprache|catégorie|quelle langue|clasific\w*|qué idioma|categoria|che lingua|que idioma|welke taal|categorie)\b|分类|情感/u;

const EXTRACT_TASK =
  /\b(?:extract\w*|pull out|mentions?|mentioned|json|(?:list|find|get|give me|return|what|which)\b.{0,30}\b(?:in|from|of) (?:this|that|the(?: following)?) (?:text|sentence|message|e-?mail|review|paragraph|passage|document|input|invoice)|(?:find|get|return)(?: only)? (?:all )?(?:the )?(?:e-?mail|dates?|amounts?|prices?|cit(?:y|ies)|phone numbers?|names?|urls?|address(?:es)?|keywords?)|extrahier\w*|erwähnt|extrai\w*|extraer|extrae|estra[ei]\w*|extraia|mentionnée?|menciona\w*|haal .{0,30} uit)(?!\p{L})|提取|抽出/u;

const REWRITE_TASK =
  /\b(?:rewrite|rephrase|paraphrase|translat\w+|summari[sz]e|summary of|correct the|fix the (?:grammar|spelling)|proofread|shorten|simplify|expand this|reword|make (?:this|it) (?:\w+ )?(?:shorter|longer|simpler|formal|polite)|umschreib\w*|fasse .{0,60}zusammen|zusammenfass\w*|tradui\w*|résum\w*|reformul\w*|traduc\w*|tradu[zç]\w*|resum\w*|reescrib\w*|riassum\w*|riscriv\w*|reescrev\w*|vertaal|samenvat\w*|herschrijf)(?!\p{L})|übersetz|翻译|总结|改写|翻訳|要約/u;

const LONG_ANSWER =
  /\b(?:why|explain|describe|how (?:do|does|can|could|should|would|to)|tell me (?:about|a)|write|compose|story|essay|poem|advice|recipe|plan|compare|discuss|opinion|warum|wieso|erklär\w*|beschreib\w*|pourquoi|expliqu\w*|décri\w*|por qué|explica|perché|spiega|por que|waarom|leg .{0,20}uit)(?!\p{L})|为什么|解释|なぜ|説明/u;

const QUESTION =
  /[?？؟]\s*$|^\W*(?:what|who|whose|when|where|which|how (?:many|much|old|far|long|big|tall)|is|are|was|were|does|do|did|can|has|name)\b/u;
const ONE_FACT = /\b(?:plural|past tense|capital|opposite|synonym|antonym) (?:form )?(?:of|for)\b/u;

/** Longer texts that end in a question are mostly about what stands before it. */
const SHORT_UNITS = 240;

/**
 * The kind of a conversation's last turn, by what instructions say in a few languages; a system prompt that holds the instruction counts where the turn
 * itself is bare text. @param turn lower case. @param system what that asks for. @param codeLines lines that look like code
 */
export function promptKind(turn: string, system: PromptKind | null, codeLines: number): PromptKind {
  const instruction = instructionOf(turn);
  const task = taskOf(instruction, codeLines) ?? system;
  if (task) return task;
  const question = ONE_FACT.test(instruction) || (QUESTION.test(instruction.trim()) && !LONG_ANSWER.test(instruction));
  return question && turn.length <= SHORT_UNITS ? 'short-answer' : 'open';
}

/** What a text asks for by its words; null when they do not say. @param text lower case. @param codeLines its lines that look like code */
export function taskOf(text: string, codeLines: number): PromptKind | null {
  if (codeLines >= 2 || CODE_TASK.test(text)) return 'code';
  if (CLASSIFY_TASK.test(text)) return 'classify';
  if (EXTRACT_TASK.test(text)) return 'extract';
  if (REWRITE_TASK.test(text)) return 'rewrite';
  return MATHS_TASK.test(text) ? 'maths' : null;
}
