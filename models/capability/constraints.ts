const CONSTRAINT =
  /\b(?:must|should|exactly|at least|at most|no more than|without|do not|don't|never|always|avoid|ensure|make sure|format|include|each|muss|genau|mindestens|höchstens|ohne|nicht|doit|exactement|au moins|au plus|sans|debe|exactamente|al menos|sin|deve|esattamente|almeno|senza|exatamente|pelo menos|sem|moet|precies|minstens|zonder)(?!\p{L})|^[ \t]*(?:[-*•]|\d+[.)])[ \t]/gmu;

/** "must", "at most", "do not" and the like, and list items. @param text lower case */
export const constraintsIn = (text: string): number => text.match(CONSTRAINT)?.length ?? 0;
