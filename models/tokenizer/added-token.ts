/**
 * The character of an added token after which a separator keeps a client's text from becoming that token: the first that is neither letter, digit nor space, unless
 * nothing follows it. Undefined for tokens that are words or spaces, which are text like any other.
 */
export function breakCharacter(token: string): string | undefined {
  return [...token].slice(0, -1).find((character) => !/[\p{L}\p{N}\p{White_Space}]/u.test(character));
}
