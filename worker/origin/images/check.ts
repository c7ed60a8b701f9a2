import { type ImageType, readImageHead } from './formats.ts';
import { badImage, badUrl, tooLarge } from './image-error.ts';

export interface ImageLimits {
  /** Of the file, bytes. */
  maxBytes: number;
  /** Width times height: what an origin needs for it in memory is 3 or 4 bytes each, however small the file. */
  maxPixels: number;
}

/** Whether an origin may be given this file. Throws `ImageError`; returns what it really is. */
export function checkImage(bytes: Uint8Array, limits: ImageLimits): ImageType {
  if (bytes.length > limits.maxBytes) throw tooManyBytes(limits);
  const head = readImageHead(bytes);
  if (!head) throw badImage('is not a PNG, JPEG, GIF or WebP image.');
  const { type, size } = head;
  if (!size) throw badImage(`begins as ${type} but is damaged: its width and height cannot be read.`);
  if (size.width * size.height > limits.maxPixels) {
    throw tooLarge(`has ${size.width} x ${size.height} pixels; at most ${limits.maxPixels} are accepted here. Scale it down.`);
  }
  return type;
}

/** Checks an image in a data URL. Returns the URL under its true type, and the file's length in bytes. Throws `ImageError`. */
export function checkDataUrl(url: string, limits: ImageLimits): { url: string; length: number } {
  const { type: declared, data } = splitDataUrl(url, 'data:image/png;base64,iVBORw0...');
  const bytes = decode(data, limits);
  const type = checkImage(bytes, limits);
  return { url: declared === type ? url : `data:${type};base64,${data}`, length: bytes.length };
}

/** A base64 data URL's declared type, lower case, and its data. @param example of one. Throws `ImageError` for any other. */
export function splitDataUrl(url: string, example: string): { type: string; data: string } {
  const comma = url.indexOf(',');
  const head = /^data:([^;,]{0,100})((?:;[^;,]{0,100}){0,5});base64$/i.exec(url.slice(0, Math.min(Math.max(comma, 0), 1000)));
  if (!head) throw badUrl(`must be a base64 data URL, as in "${example}".`);
  return { type: head[1]!.toLowerCase(), data: url.slice(comma + 1) };
}

/** The file in base64. Throws `ImageError` where it is none, or larger than is allowed. */
export function decode(data: string, limits: { maxBytes: number }): Uint8Array {
  // Not worth decoding. Four characters are three bytes, of which up to two are padding.
  if (Math.floor(data.length / 4) * 3 - 2 > limits.maxBytes) throw tooManyBytes(limits);
  try {
    return Uint8Array.fromBase64(data);
  } catch {
    throw badUrl('is not valid base64.');
  }
}

export function tooManyBytes({ maxBytes }: { maxBytes: number }) {
  return tooLarge(`is larger than ${maxBytes} bytes, the limit of this gateway.`);
}
