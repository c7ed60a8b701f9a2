import { describe, expect, it } from 'vitest';
import { chat, edgeOnly } from './support.ts';

describe('edge', () => {
  it('answers', async () => {
    const response = await chat(edgeOnly(), 'hello');
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'Hello there' } }] });
  });
});
