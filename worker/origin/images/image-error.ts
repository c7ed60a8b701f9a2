import { ApiError } from '../../../routes/errors.ts';
import type { MediaKind } from '../modalities.ts';

/** Why an image, or a video, audio or a file, is not passed on. The message goes on from "The image at messages[0].content[1].image_url.url ...". */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly status: 400 | 413;
  readonly code: string;

  constructor(status: 400 | 413, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** As a client is told, without a cause: those of failed fetches may name what was to be fetched, and a cause is logged. */
  at(param: string, what: 'image' | MediaKind = 'image'): ApiError {
    return new ApiError(this.status, this.code.replace('image', what), `The ${what} at ${param} ${this.message}`, { param });
  }
}

export const badUrl = (message: string) => new ImageError(400, 'invalid_image_url', message);
export const badImage = (message: string) => new ImageError(400, 'invalid_image', message);
export const tooLarge = (message: string) => new ImageError(413, 'image_too_large', message);
export const notFetched = (message: string) => new ImageError(400, 'image_fetch_failed', message);
