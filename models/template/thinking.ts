import { Template } from '@huggingface/jinja';

/**
 * Whether a template thinks unless told otherwise (`enable_thinking`); null when it knows no thinking, or does not say what it does.
 * Found by rendering one question in all three ways.
 */
export function thinkingDefault(source: string): boolean | null {
  try {
    const template = new Template(source);
    const render = (variables: Record<string, unknown>) =>
      template.render({ messages: [{ role: 'user', content: 'Hello' }], tools: null, add_generation_prompt: true, ...variables });
    const on = render({ enable_thinking: true });
    const off = render({ enable_thinking: false });
    return on === off ? null : render({}) === on;
  } catch {
    return null;
  }
}

/** `enable_thinking` for a client's `reasoning_effort`: "none" turns it off, any other on, nothing leaves the model's default. */
export function thinkingOfEffort(effort: string | null | undefined): boolean | undefined {
  if (effort === null || effort === undefined) return undefined;
  return effort !== 'none';
}

/** Whether a prompt ends inside an opened `<think>` block, so that the generation starts with reasoning. */
export function endsInThinking(prompt: string): boolean {
  const open = prompt.lastIndexOf('<think>');
  return open >= 0 && prompt.slice(open + '<think>'.length).trim() === '';
}
