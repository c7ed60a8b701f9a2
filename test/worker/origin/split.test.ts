import { describe, expect, it } from 'vitest';
import { EventSplitter } from '../../../worker/origin/split.ts';

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('EventSplitter', () => {
  const events = ['data: {"a":"é€😀"}\n\n', ': comment\r\n\r\n', 'event: x\ndata: 1\ndata: 2\n\n', '\n', 'data: [DONE]\r\n\r\n'];

  it('finds the same whole events wherever the network cuts', () => {
    const bytes = encode(events.join(''));
    for (let size = 1; size <= bytes.length; size++) {
      const splitter = new EventSplitter();
      const found: string[] = [];
      for (let at = 0; at < bytes.length; at += size) found.push(...splitter.push(bytes.subarray(at, at + size)).map(decode));
      expect(found).toEqual(events);
      expect(splitter.rest).toHaveLength(0);
    }
  });

  it('keeps what has not ended', () => {
    const splitter = new EventSplitter();
    expect(splitter.push(encode('data: 1\n\ndata: 2\n')).map(decode)).toEqual(['data: 1\n\n']);
    expect(decode(splitter.rest)).toBe('data: 2\n');
  });

  it('gives up on an event without end', () => {
    const splitter = new EventSplitter();
    expect(() => {
      for (let i = 0; i < 20; i++) splitter.push(new Uint8Array(1024 * 1024).fill(65));
    }).toThrow('without end');
  });
});
