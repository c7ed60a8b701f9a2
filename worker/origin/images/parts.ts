import { ApiError } from '../../../routes/errors.ts';
import type { ChatMessage, ContentPart } from '../../../routes/schema/message.ts';

/** An image in a request. */
export interface ImagePart {
  message: number;
  part: number;
  url: string;
  /** Where the URL is, in OpenAI's notation. */
  param: string;
}

/** The images of a request, in order. Servers take the URL in an object, as OpenAI, or bare. Throws 400 for a part that has none. */
export function imageParts(messages: ChatMessage[]): ImagePart[] {
  return messages.flatMap(({ content }, message) =>
    Array.isArray(content) ? content.flatMap((part, j) => (isImage(part) ? [imagePart(part, message, j)] : [])) : [],
  );
}

/** Whatever a part calls itself: what carries an image_url may be looked at as one. An input_image may name a file that the origin has already, instead. */
function isImage(part: ContentPart): boolean {
  if (part.image_url !== undefined && part.image_url !== null) return true;
  return part.type === 'image_url' || (part.type === 'input_image' && typeof part.file_id !== 'string');
}

function imagePart(content: ContentPart, message: number, part: number): ImagePart {
  const given = content.image_url as string | { url?: unknown } | null | undefined;
  const param = `messages[${message}].content[${part}].image_url`;
  if (typeof given === 'string') return { message, part, url: given, param };
  if (typeof given?.url === 'string') return { message, part, url: given.url, param: `${param}.url` };
  throw new ApiError(400, 'invalid_image_url', `Invalid value for ${param}: it must be an object with a url.`, { param });
}

/** The request's body with other URLs for some images. Copies what it changes, and nothing else. */
export function withUrls(raw: Record<string, unknown>, urls: Map<ImagePart, string>): Record<string, unknown> {
  if (urls.size === 0) return raw;
  const messages = [...(raw.messages as { content: ContentPart[] }[])];
  for (const [{ message, part }, url] of urls) {
    const content = [...messages[message]!.content];
    const old = content[part]!;
    content[part] = { ...old, image_url: typeof old.image_url === 'string' ? url : { ...(old.image_url as object), url } };
    messages[message] = { ...messages[message]!, content };
  }
  return { ...raw, messages };
}
