/**
 * GPT-2's byte alphabet: every byte as one printable character, so that vocabularies of byte strings can be written as JSON text. Printable Latin-1
 * stands for itself; the other 68 bytes are U+0100 and on, in order.
 */
const isPrintable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);

const byteOfCode = new Int16Array(0x144).fill(-1);
let nextCode = 0x100;
for (let byte = 0; byte < 256; byte++) byteOfCode[isPrintable(byte) ? byte : nextCode++] = byte;

/** Bytes that a vocabulary entry stands for, or null if it has characters outside the byte alphabet. */
export function bytesOfAlphabet(token: string): Uint8Array | null {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCode[token.charCodeAt(i)] ?? -1;
    if (byte < 0) return null;
    bytes[i] = byte;
  }
  return bytes;
}
