import { describe, expect, it } from 'vitest';
import { ReasoningSplitter } from '../../../models/template/reasoning.ts';

function split(deltas: string[], thinking = true) {
  const splitter = new ReasoningSplitter(thinking);
  const parts = [...deltas.map((delta) => splitter.push(delta)), splitter.flush()];
  return { reasoning: parts.map((part) => part.reasoning).join(''), content: parts.map((part) => part.content).join('') };
}

describe('ReasoningSplitter', () => {
  const TEXT = 'First, 1 < 2.\n\nThen </thin air.\n</think>\n\nThe answer.\n';

  it('splits at the closing tag wherever the deltas are cut', () => {
    const expected = { reasoning: 'First, 1 < 2.\n\nThen </thin air.', content: 'The answer.\n' };
    for (let size = 1; size <= TEXT.length; size++) expect(split(TEXT.match(new RegExp(`[^]{1,${size}}`, 'g'))!)).toEqual(expected);
  });

  it('streams reasoning at once, holding back only what may be the tag', () => {
    const splitter = new ReasoningSplitter(true);
    expect(splitter.push('abc</th')).toEqual({ reasoning: 'abc', content: '' });
    expect(splitter.push('e end')).toEqual({ reasoning: '</the end', content: '' });
    expect(splitter.push('\n\n</think>\n')).toEqual({ reasoning: '', content: '' });
    expect(splitter.push('\nHi')).toEqual({ reasoning: '', content: 'Hi' });
    expect(splitter.push('\n\n</think>')).toEqual({ reasoning: '', content: '\n\n</think>' });
  });

  it('loses nothing when the reasoning never ends', () => {
    expect(split(['thinking', '\n</thi'])).toEqual({ reasoning: 'thinking\n</thi', content: '' });
  });

  it('gives empty reasoning for an empty block', () => {
    expect(split(['\n</think>\n\nHi'])).toEqual({ reasoning: '', content: 'Hi' });
  });

  it('leaves everything to the content when nothing was thought', () => {
    expect(split(['\n\na</think>', '\nb'], false)).toEqual({ reasoning: '', content: '\n\na</think>\nb' });
  });
});
