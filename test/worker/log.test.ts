import { afterEach, expect, it, vi } from 'vitest';
import { chat, eventually, withOrigin } from './support.ts';

afterEach(() => vi.restoreAllMocks());

it('says what went wrong with a late stream, and nothing of what an origin quotes from the prompt', async () => {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(String(line)));
  const script = 'wait 200; raw {"error":{"message":"cannot answer: my-secret-prompt","code":500}}';
  const body = { model: 'origin-test', stream: true };
  const variables = withOrigin({ NEARSIDE_COMMIT_AFTER_MS: '50' });
  const response = await chat(variables, script, body, { headers: { 'x-request-id': 'logged' } });
  expect(await response.text()).toContain('my-secret-prompt');
  const failed = await eventually('the failure is logged', async () => lines.find((line) => line.includes('request_failed')));
  expect(JSON.parse(failed)).toEqual({ event: 'request_failed', id: 'logged', error: 'OriginFailure: origin_error', cause: null });
  expect(lines.join()).not.toContain('my-secret-prompt');
});
