import { FNV_BASIS, fnv1a } from '../../../models/fnv1a.ts';

/** 64 bits as 16 hexadecimal digits: two FNV-1a hashes over the UTF-16 units, forwards and backwards. To notice differences, not to resist anyone. */
export function hashText(text: string): string {
  let [forwards, backwards] = [FNV_BASIS, FNV_BASIS];
  for (let i = 0; i < text.length; i++) {
    forwards = fnv1a(forwards, text.charCodeAt(i));
    backwards = fnv1a(backwards, text.charCodeAt(text.length - 1 - i));
  }
  return [forwards, backwards].map((hash) => (hash >>> 0).toString(16).padStart(8, '0')).join('');
}
