import type { ChatMessage, ContentPart } from '../../../routes/schema/message.ts';
import { type MediaKind, mediaOf } from '../modalities.ts';
import { decode, splitDataUrl, tooManyBytes } from './check.ts';
import { badImage, badUrl, ImageError } from './image-error.ts';
import { parseTarget } from './target.ts';

export interface MediaLimits {
  /** Of one file that is sent as data, bytes. */
  maxBytes: number;
  /** Audio, video and files in a request, together. */
  maxCount: number;
}

/** Something that a part carries: an address, or data. */
interface Carried {
  kind: MediaKind;
  /** Where it is, in OpenAI's notation. */
  param: string;
  text: string;
  /** Base64 without a data URL's head is allowed. */
  bare: boolean;
}

/** Fields with an address, and fields with a file in base64, with a data URL's head or without one. */
const fields: [name: string, bare: boolean][] = [
  ['url', false],
  ['file_url', false],
  ['data', true],
  ['file_data', true],
];

/** Of a video that is sent as pictures: each is looked at by itself. */
const mostPictures = 1024;

const example: Record<MediaKind, string> = {
  audio: 'data:audio/wav;base64,UklGR...',
  video: 'data:video/mp4;base64,AAAAI...',
  file: 'data:application/pdf;base64,JVBER...',
};

/**
 * Checks a request's audio, video and files as far as can be told without decoding them: addresses by the rules for images' (https, of the public internet),
 * data by its length, by being base64 and by its declared type. Nothing is fetched, nothing changed. Throws 400 or 413 with the place as `param`.
 */
export function checkMedia(messages: ChatMessage[], limits: MediaLimits): void {
  let count = 0;
  messages.forEach(({ content }, i) => {
    if (!Array.isArray(content)) return;
    content.forEach((part, j) => {
      for (const carried of carriedBy(part, `messages[${i}].content[${j}]`)) {
        told(carried, () => {
          if (++count > limits.maxCount)
            throw new ImageError(400, 'too_many_media', `is one too many: a request may have ${limits.maxCount}.`);
          checkOne(carried, limits);
        });
      }
    });
  });
}

/** What a part carries, whatever it calls itself. Throws 400 for one that should carry something and does not. */
function carriedBy(part: ContentPart, param: string): Carried[] {
  const keys = Object.keys(part).filter((key) => mediaOf(key) !== null && part[key] !== null && part[key] !== undefined);
  const found = keys.flatMap((key) => {
    const [value, kind, here] = [part[key], mediaOf(key)!, `${param}.${key}`];
    return typeof value === 'string' ? [{ kind, param: here, text: value, bare: false }] : fieldsOf(value, kind, here, here);
  });
  const kind = mediaOf(part.type);
  if (kind === null) return found;
  // The Responses API has them in the part itself.
  return keys.length > 0 ? [...found, ...namedIn(part, kind, param)] : fieldsOf(part, kind, param, `${param}.${part.type}`);
}

/** @param missing where something is missing if it has none of the fields */
function fieldsOf(value: unknown, kind: MediaKind, param: string, missing: string): Carried[] {
  const given = (typeof value === 'object' ? value : {}) as Record<string, unknown>;
  const found = namedIn(given, kind, param);
  // A file that the origin has already is named and not sent.
  if (found.length === 0 && typeof given.file_id !== 'string') {
    throw badUrl('is missing: it must be an object with a url or data.').at(missing, kind);
  }
  return found;
}

function namedIn(given: Record<string, unknown>, kind: MediaKind, param: string): Carried[] {
  return fields.flatMap(([name, bare]) => {
    const text = given[name];
    return typeof text === 'string' ? [{ kind, param: `${param}.${name}`, text, bare }] : [];
  });
}

function checkOne({ kind, text, bare }: Carried, limits: MediaLimits): void {
  if (!/^data:/i.test(text)) {
    // Some clients have an address where data is meant.
    if (!bare || /^https?:/i.test(text)) parseTarget(text);
    else if (decode(text, limits).length > limits.maxBytes) throw tooManyBytes(limits);
    return;
  }
  const { type, data } = splitDataUrl(text, example[kind]);
  if (kind !== 'file' && !type.startsWith(`${kind}/`) && type !== 'application/ogg') {
    throw badImage(`must be declared as ${kind}, as in "${example[kind]}".`);
  }
  // Servers take single pictures for a video, with commas between them.
  const files = type === 'video/jpeg' ? data.split(',', mostPictures + 1) : [data];
  if (files.length > mostPictures) throw badImage(`has more than ${mostPictures} pictures.`);
  const bytes = files.reduce((sum, file) => sum + decode(file, limits).length, 0);
  if (bytes > limits.maxBytes) throw tooManyBytes(limits);
}

/** Says of an `ImageError` where it is. */
function told({ kind, param }: Carried, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw error instanceof ImageError ? error.at(param, kind) : error;
  }
}
