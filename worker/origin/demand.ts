import type { ChatRequest } from '../../routes/schema/chat.ts';
import { affinityKey } from './affinity.ts';
import type { Demand } from './pool.ts';
import { estimateTokens } from './usage.ts';

const modalityOf: Record<string, string> = {
  text: 'text',
  refusal: 'text',
  image_url: 'image',
  input_image: 'image',
  input_audio: 'audio',
  audio_url: 'audio',
  video_url: 'video',
  file: 'file',
};

/** What a request asks of an endpoint. */
export function demandOf(model: string, request: ChatRequest, promptBytes: number, regions: string[] | null = null): Demand {
  return { key: affinityKey(model, request), promptTokens: estimateTokens(promptBytes), modalities: modalitiesOf(request), regions };
}

/** What the prompt consists of. Parts of a type nobody knows are left to the origin to judge. */
export function modalitiesOf(request: ChatRequest): string[] {
  const found = new Set(['text']);
  for (const { content } of request.body.messages) {
    if (!Array.isArray(content)) continue;
    for (const part of content) {
      const modality = modalityOf[part.type];
      if (modality) found.add(modality);
    }
  }
  return [...found];
}
