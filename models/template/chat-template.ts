import { Template } from '@huggingface/jinja';
import { ModelError } from '../model-error.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ChatMessage } from './message.ts';
import { prepareMessages } from './prepare-messages.ts';
import { Protection } from './protect.ts';
import { TemplateError } from './template-error.ts';
import { endsInThinking } from './thinking.ts';

export interface RenderOptions {
  /** OpenAI's tool definitions. */
  tools?: readonly unknown[] | null;
  /** What the client gives the template beyond the messages (`chat_template_kwargs`), e.g. enable_thinking. */
  variables?: Record<string, unknown>;
  /** End with the opening of the assistant's turn. Default true. */
  addGenerationPrompt?: boolean;
}

export interface EncodedPrompt {
  ids: number[];
  /** What the ids say, control tokens written out. */
  text: string;
  /** The generation starts inside a reasoning block (see ReasoningSplitter). */
  thinking: boolean;
}

/**
 * A model's own Jinja chat template. Stateless to its callers.
 * One known difference from Python's Jinja: a boolean or null written out by itself, as an argument of a tool call can be, is `true` or `null`, not `True` or `None`.
 */
export class ChatTemplate {
  readonly #template: Template;
  readonly #tokenizer: Tokenizer;
  readonly #variables: Record<string, unknown>;
  readonly #knowsDeveloper: boolean;

  /** `options.variables` are defaults that a request's own variables override. Throws a ModelError when the template cannot be parsed. */
  constructor(source: string, tokenizer: Tokenizer, options: { variables?: Record<string, unknown> } = {}) {
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new ModelError(`The model's chat template cannot be parsed: ${messageOf(cause)}`, { cause });
    }
    this.#tokenizer = tokenizer;
    this.#variables = options.variables ?? {};
    this.#knowsDeveloper = /['"]developer['"]/.test(source);
  }

  /** The prompt as text, for people: what a client wrote cannot be told from control tokens in it. Throws a TemplateError when the template refuses. */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const { text, protection } = this.#render(messages, options);
    return protection.strip(text);
  }

  /** The prompt as ids. Control tokens come from the template only, never from what a client wrote. Throws a TemplateError when the template refuses. */
  encode(messages: readonly ChatMessage[], options: RenderOptions = {}): EncodedPrompt {
    const { text, protection } = this.#render(messages, options);
    return {
      ids: this.#tokenizer.encodeTemplate(text, protection.separator),
      text: protection.strip(text),
      thinking: endsInThinking(text),
    };
  }

  #render(messages: readonly ChatMessage[], options: RenderOptions): { text: string; protection: Protection } {
    const prepared = prepareMessages(messages, this.#knowsDeveloper);
    const tools = options.tools?.length ? options.tools : null;
    const variables = options.variables ?? {};
    const tokens = this.#tokenizer.addedTokens.map((token) => token.text);
    const protection = new Protection(tokens, [prepared, tools, variables]);
    try {
      const text = this.#template.render({
        ...this.#variables,
        ...protection.value(variables),
        ...this.#namedTokens(),
        messages: protection.messages(prepared),
        tools: protection.value(tools),
        documents: null,
        add_generation_prompt: options.addGenerationPrompt ?? true,
      });
      return { text, protection };
    } catch (cause) {
      throw new TemplateError(protection.strip(messageOf(cause)), { cause });
    }
  }

  #namedTokens(): Record<string, string> {
    const { bosId, eosId } = this.#tokenizer;
    return {
      ...(bosId === null ? {} : { bos_token: this.#tokenizer.tokenText(bosId) }),
      ...(eosId === null ? {} : { eos_token: this.#tokenizer.tokenText(eosId) }),
    };
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
