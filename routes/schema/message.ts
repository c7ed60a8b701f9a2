import { z } from 'zod';

/** A part of a message's content. Types other than text (image_url, input_audio, file ...) are the origin's business and pass unread. */
const part = z
  .looseObject({ type: z.string(), text: z.string().optional() }, { error: 'each content part must be an object with a type' })
  .superRefine((value, ctx) => {
    if (value.type === 'text' && value.text === undefined)
      ctx.addIssue({ code: 'custom', path: ['text'], message: 'a text part needs a text' });
  });

const content = z.union([z.string(), z.array(part).min(1)], { error: 'content must be a string or a non-empty array of content parts' });

/** Roles whose message may come without content. */
const mayBeEmpty = new Set(['assistant', 'function']);

export const messageSchema = z
  .looseObject(
    {
      role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function'], {
        error: 'role must be one of system, developer, user, assistant, tool',
      }),
      content: content.nullish(),
      name: z.string().nullish(),
      reasoning_content: z.string().nullish(),
      refusal: z.string().nullish(),
      tool_calls: z.array(z.looseObject({})).nullish(),
      tool_call_id: z.string().nullish(),
      function_call: z.looseObject({}).nullish(),
      audio: z.looseObject({}).nullish(),
    },
    { error: 'each message must be an object with a role and content' },
  )
  .superRefine((value, ctx) => {
    const missing = value.content === undefined || value.content === null;
    if (missing && !mayBeEmpty.has(value.role))
      ctx.addIssue({ code: 'custom', path: ['content'], message: `a ${value.role} message needs content` });
    if (value.role === 'tool' && !value.tool_call_id) {
      ctx.addIssue({ code: 'custom', path: ['tool_call_id'], message: 'a tool message needs the tool_call_id it answers' });
    }
  });

export type ChatMessage = z.infer<typeof messageSchema>;
export type ContentPart = z.infer<typeof part>;

export const knownMessageKeys = Object.keys(messageSchema.shape);
