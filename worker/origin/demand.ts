import { ApiError } from '../../routes/errors.ts';
import type { ChatRequest } from '../../routes/schema/chat.ts';
import { affinityKey } from './affinity.ts';
import { modalityOf } from './modalities.ts';
import type { Demand } from './pool.ts';
import { estimateTokens } from './usage.ts';

/** Taken to be read by an origin that does not say what it reads: what the gateway has looked at itself. All else goes nowhere without being asked for. */
const usual = ['text', 'image'];

/** Whether an endpoint reads all that a prompt consists of. @param known what its settings say that it reads; null where they say nothing */
export function readsAll(known: string[] | null, modalities: string[]): boolean {
  return modalities.every((modality) => (known ?? usual).includes(modality));
}

/** 400 for a prompt that nobody here reads. @param model the pool's that was asked for; null for the choice among all */
export function unreadable(modalities: string[], model: string | null): ApiError {
  const what = modalities.filter((modality) => modality !== 'text').join(', ');
  const who = model === null ? 'No origin model here reads' : `The model ${model} does not read`;
  return new ApiError(400, 'unsupported_modality', `${who} ${what || 'text'}; leave it out, or ask for a model that does.`, {
    param: 'messages',
  });
}

/** What a request asks of an endpoint. */
export function demandOf(model: string, request: ChatRequest, promptBytes: number, regions: string[] | null = null): Demand {
  return {
    // Only asked for where there is a choice.
    get key() {
      return affinityKey(model, request);
    },
    promptTokens: estimateTokens(promptBytes),
    modalities: modalitiesOf(request),
    regions,
  };
}

/** What the prompt consists of: by what each part calls itself, and by what else it carries, as servers may go by that. Parts that nobody knows are left to the origin. */
export function modalitiesOf(request: ChatRequest): string[] {
  const found = new Set(['text']);
  for (const { content } of request.body.messages) {
    if (!Array.isArray(content)) continue;
    for (const part of content) {
      if (modalityOf.has(part.type)) found.add(modalityOf.get(part.type)!);
      for (const [key, value] of Object.entries(part)) if (value != null && modalityOf.has(key)) found.add(modalityOf.get(key)!);
    }
  }
  return [...found];
}
