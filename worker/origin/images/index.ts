import type { ChatRequest } from '../../../routes/schema/chat.ts';
import { checkDataUrl, checkImage } from './check.ts';
import { type ByteBudget, type FetchLimits, type FetchTools, fetchImage } from './fetch-image.ts';
import { ImageError } from './image-error.ts';
import { checkMedia, type MediaLimits } from './media.ts';
import { type ImagePart, imageParts, withUrls } from './parts.ts';
import { parseTarget } from './target.ts';

export interface ImageSettings extends FetchLimits {
  /** Images in one request. */
  maxCount: number;
  /** All images that are sent as data, together, bytes. */
  maxTotalBytes: number;
  /** Of audio, video and files. */
  media: MediaLimits;
  /** Fetch remote images here, instead of leaving that to the origin. */
  fetch: boolean;
}

/** Looks at a request's images, audio, video and files before an origin gets them. */
export type ImageGate = (request: ChatRequest, signal: AbortSignal) => Promise<ChatRequest>;

/** Fetches at a time, per request. The platform has no more than 6 connections for it. */
const fetchesAtOnce = 4;

/**
 * Makes the gate: counts a request's images, checks those that came as data, and has remote ones passed on, or fetched and sent as data. Audio, video and files
 * are checked (`checkMedia`) and passed on. Only `raw` of the
 * request changes, so that where it is sent does not depend on how its images travel. It throws 400 or 413 with the image's place as `param`, and the
 * signal's reason when the client leaves.
 */
export function createImageGate(settings: ImageSettings, tools: FetchTools): ImageGate {
  return async (request, signal) => {
    checkMedia(request.body.messages, settings.media);
    const parts = imageParts(request.body.messages);
    const surplus = parts[settings.maxCount];
    if (surplus) {
      throw new ImageError(400, 'too_many_images', `is one too many: a request may have ${settings.maxCount}.`).at(surplus.param);
    }
    const urls = new Map<ImagePart, string>();
    const change = (part: ImagePart, url: string) => url !== part.url && urls.set(part, url);
    const remote = parts.filter((part) => !/^data:/i.test(part.url));
    const budget: ByteBudget = { total: settings.maxTotalBytes, left: settings.maxTotalBytes };
    // What can be told at once is told before anything is fetched.
    for (const part of parts) {
      await told(part, async () => {
        if (remote.includes(part)) return parseTarget(part.url);
        const checked = checkDataUrl(part.url, settings);
        budget.left -= checked.length;
        return change(part, checked.url);
      });
    }
    if (settings.fetch && remote.length > 0) {
      await eachOf(remote, signal, async (part, ending) => {
        const bytes = await told(part, async () => {
          const file = await fetchImage(part.url, settings, budget, tools, ending);
          return { file, type: checkImage(file, settings) };
        });
        change(part, `data:${bytes.type};base64,${bytes.file.toBase64()}`);
      });
    }
    return urls.size === 0 ? request : { ...request, raw: withUrls(request.raw, urls) };
  };
}

/** Says of an `ImageError` where the image is. */
async function told<T>(part: ImagePart, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof ImageError ? error.at(part.param) : error;
  }
}

/** Works on a few at a time. The first failure ends all. */
async function eachOf<T>(items: T[], signal: AbortSignal, work: (item: T, ending: AbortSignal) => Promise<void>): Promise<void> {
  const failed = new AbortController();
  const ending = AbortSignal.any([signal, failed.signal]);
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await work(item, ending);
  };
  try {
    await Promise.all(Array.from({ length: Math.min(fetchesAtOnce, items.length) }, worker));
  } finally {
    failed.abort(new Error('the request has failed'));
  }
}
