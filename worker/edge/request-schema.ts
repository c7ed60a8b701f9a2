import { z } from 'zod';
import type { EdgeRequest } from './protocol.ts';

/** The gateway has validated what a client sent; this catches a gateway and an engine of different versions. */
export const edgeRequestSchema: z.ZodType<EdgeRequest> = z.object({
  id: z.string(),
  messages: z
    .array(
      z.object({
        role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
        content: z.string(),
        name: z.string().optional(),
        reasoning_content: z.string().optional(),
        tool_calls: z.array(z.unknown()).optional(),
        tool_call_id: z.string().optional(),
      }),
    )
    .min(1),
  templateOptions: z.record(z.string(), z.unknown()),
  sampling: z.object({
    temperature: z.number().min(0).optional(),
    topP: z.number().min(0).max(1).optional(),
    topK: z.number().int().optional(),
    minP: z.number().min(0).max(1).optional(),
    presencePenalty: z.number().optional(),
    frequencyPenalty: z.number().optional(),
    repetitionPenalty: z.number().positive().optional(),
    seed: z.number().int().optional(),
    logitBias: z.record(z.string().regex(/^\d+$/), z.number()).optional(),
  }),
  maxTokens: z.number().int().min(1).nullable(),
  capTokens: z.number().int().min(1).nullable(),
  maxPromptTokens: z.number().int().min(1).nullable(),
  stop: z.array(z.string()),
  topLogprobs: z.number().int().min(0).max(20).nullable(),
  cacheScope: z.string().min(1).max(256).nullable().optional(),
});
