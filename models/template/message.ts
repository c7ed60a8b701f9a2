/** A chat message as OpenAI's API has it, as far as a template can see it. */
export interface ChatMessage {
  role: string;
  content?: string | ContentPart[] | null;
  /** What an assistant thought before its answer. */
  reasoning_content?: string | null;
  name?: string;
  tool_calls?: ToolCall[] | null;
  tool_call_id?: string;
}

export interface ContentPart {
  type: string;
  text?: string;
}

export interface ToolCall {
  id?: string;
  type?: string;
  /** `arguments`: JSON text of an object, or the object. */
  function: { name: string; arguments: unknown };
}
