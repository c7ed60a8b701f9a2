export type ImageType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';

export interface Size {
  /** Pixels. */
  width: number;
  height: number;
}

interface Format {
  type: ImageType;
  /** Whether a file begins as this format does. */
  begins(bytes: Uint8Array): boolean;
  /** Width and height as a decoder will take them; null when the head is damaged or cut off. */
  size(view: DataView): Size | null;
}

const text = (bytes: Uint8Array, at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));

/** Portable Network Graphics, 3rd edition (W3C, 2025), sections 5.2 and 11.2.1: the first chunk is IHDR. APNG frames lie within it. */
const png: Format = {
  type: 'image/png',
  begins: (bytes) => text(bytes, 0, 8) === '\x89PNG\r\n\x1a\n',
  size: (view) => (view.getUint32(12) === 0x49484452 ? { width: view.getUint32(16), height: view.getUint32(20) } : null),
};

/** ITU-T T.81, annex B: a run of segments; the frame header is one of SOF0 to SOF15, but for DHT, JPG and DAC, which lie among them. */
const jpeg: Format = {
  type: 'image/jpeg',
  begins: (bytes) => text(bytes, 0, 3) === '\xff\xd8\xff',
  size(view) {
    const size = { width: 0, height: 0 };
    for (let at = 2; at + 4 <= view.byteLength; ) {
      if (view.getUint8(at) !== 0xff) return null;
      const marker = view.getUint8(at + 1);
      if (marker === 0xff) {
        at++;
        continue;
      }
      // The picture's data begins: no frame header comes any more. Where there were several, nobody knows which one a decoder takes.
      if (marker === 0xda) return size;
      if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
        size.height = Math.max(size.height, view.getUint16(at + 5));
        size.width = Math.max(size.width, view.getUint16(at + 7));
      }
      at += 2 + view.getUint16(at + 2);
    }
    return null;
  },
};

/** GIF89a specification (CompuServe, 1990), sections 18 and 20. A first frame that is larger than the screen makes decoders enlarge the screen. */
const gif: Format = {
  type: 'image/gif',
  begins: (bytes) => /^GIF8[79]a$/.test(text(bytes, 0, 6)),
  size(view) {
    const flags = view.getUint8(10);
    let at = 13 + (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
    // Extensions come before the first frame: label, then blocks with their length in front, until an empty one.
    while (view.getUint8(at) === 0x21) {
      for (at += 2; view.getUint8(at) !== 0; ) at += 1 + view.getUint8(at);
      at++;
    }
    if (view.getUint8(at) !== 0x2c) return null;
    const [left, top, width, height] = [1, 3, 5, 7].map((offset) => view.getUint16(at + offset, true)) as [number, number, number, number];
    return { width: Math.max(view.getUint16(6, true), left + width), height: Math.max(view.getUint16(8, true), top + height) };
  },
};

/** RFC 9649 (WebP), sections 2.5 to 2.7; RFC 6386 (VP8), section 9.1. */
const webp: Format = {
  type: 'image/webp',
  begins: (bytes) => text(bytes, 0, 4) === 'RIFF' && text(bytes, 8, 4) === 'WEBP',
  size(view) {
    switch (view.getUint32(12)) {
      case 0x56503820: // 'VP8 ', lossy
        if (view.getUint8(23) !== 0x9d || view.getUint16(24) !== 0x012a) return null;
        return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
      case 0x5650384c: {
        // 'VP8L', lossless: 14 bits each, minus one
        if (view.getUint8(20) !== 0x2f) return null;
        const bits = view.getUint32(21, true);
        return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
      }
      case 0x56503858: // 'VP8X', extended: 24 bits each, minus one
        return { width: (view.getUint32(24, true) & 0xffffff) + 1, height: (view.getUint32(26, true) >>> 8) + 1 };
      default:
        return null;
    }
  },
};

const formats = [png, jpeg, gif, webp];

/**
 * What kind of image these bytes are, whatever anyone calls them, and how large it becomes when decoded. Reads the head only.
 * @returns null for none of the four kinds; a size of null when it cannot be told
 */
export function readImageHead(bytes: Uint8Array): { type: ImageType; size: Size | null } | null {
  const format = formats.find((candidate) => candidate.begins(bytes));
  if (!format) return null;
  try {
    const size = format.size(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return { type: format.type, size: size && size.width > 0 && size.height > 0 ? size : null };
  } catch (error) {
    // The view ended before the head did.
    if (error instanceof RangeError) return { type: format.type, size: null };
    throw error;
  }
}
