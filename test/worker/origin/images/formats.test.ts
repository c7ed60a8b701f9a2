import { describe, expect, it } from 'vitest';
import { readImageHead } from '../../../../worker/origin/images/formats.ts';
import { bytesOf, changed, files } from './files.ts';

const latin = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

describe('the head of an image', () => {
  it.each(Object.keys(files))('of a %s tells its type and size', (name) => {
    expect(readImageHead(bytesOf(name))).toEqual({ type: files[name]![0], size: { width: 37, height: 21 } });
  });

  it.each(Object.keys(files))('of a %s may be cut off anywhere, and never tells another size', (name) => {
    const bytes = bytesOf(name);
    for (let length = 0; length < bytes.length; length++) {
      const head = readImageHead(bytes.subarray(0, length));
      if (head?.size) expect([head.type, head.size]).toEqual([files[name]![0], { width: 37, height: 21 }]);
    }
    expect(readImageHead(bytes.subarray(0, 10))?.size ?? null).toBe(null);
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['text', latin('hello, world: this is no image at all')],
    ['SVG', latin('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['BMP', latin(`BM${'\0'.repeat(60)}`)],
    ['TIFF', latin(`II*\0${'\0'.repeat(60)}`)],
    ['AVIF', latin(`\0\0\0\x1cftypavif${'\0'.repeat(60)}`)],
    ['PDF', latin('%PDF-1.7 .....................')],
    ['WAVE in the same container as WebP', latin(`RIFF\x40\0\0\0WAVEfmt ${'\0'.repeat(60)}`)],
  ])('is not found in %s', (_, bytes) => {
    expect(readImageHead(bytes)).toBe(null);
  });

  it.each<[string, string, Record<number, number[]>]>([
    ['a PNG whose first chunk is not the header', 'png', { 12: [0x49, 0x44, 0x41, 0x54] }],
    ['a PNG without height', 'png', { 20: [0, 0, 0, 0] }],
    ['a JPEG with noise between its segments', 'jpeg', { 20: [0] }],
    ['a JPEG whose first segment reaches over the end', 'jpeg', { 4: [0xff, 0xff] }],
    ['a JPEG that ends before its picture', 'jpeg', { 2: [0xff, 0xd9, 0, 0] }],
    ['a GIF without frames', 'gif', { 25: [0x3b] }],
    ['a lossy WebP without start code', 'lossy webp', { 23: [0] }],
    ['a lossless WebP without signature', 'lossless webp', { 20: [0] }],
    ['a WebP of an unknown kind', 'lossy webp', { 12: [0x41] }],
  ])('of %s tells no size', (_, name, changes) => {
    expect(readImageHead(changed(name, changes))).toEqual({ type: files[name]![0], size: null });
  });

  it('tells the size that a decoder will take, not a smaller one that comes before it', () => {
    // A frame larger than the screen.
    expect(readImageHead(changed('gif', { 30: [0xff, 0xff, 0xff, 0xff] }))?.size).toEqual({ width: 65535, height: 65535 });
    // A thumbnail with a frame header of its own, inside a segment.
    const jpeg = bytesOf('jpeg');
    const thumbnail = latin('\xff\xe1\0\x0dXX\xff\xc0\0\x0b\x08\0\x01\0\x01');
    expect(readImageHead(join(jpeg.subarray(0, 2), thumbnail, jpeg.subarray(2)))?.size).toEqual({ width: 37, height: 21 });
    // Two frame headers.
    const small = latin('\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0');
    expect(readImageHead(join(jpeg.subarray(0, 2), small, jpeg.subarray(2)))?.size).toEqual({ width: 37, height: 21 });
  });

  it('tells a bomb by its header', () => {
    expect(readImageHead(changed('png', { 16: [0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff] }))?.size).toEqual({
      width: 2 ** 31 - 1,
      height: 2 ** 31 - 1,
    });
    expect(readImageHead(changed('extended webp', { 24: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }))?.size).toEqual({
      width: 2 ** 24,
      height: 2 ** 24,
    });
  });
});
