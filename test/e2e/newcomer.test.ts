import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DevServer, startDevServer } from '../support/dev-server.ts';

/** What a newcomer does: clone, `npm ci`, `npm run dev`, the README's curl. Nothing of this checkout but its commits is used. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const clone = mkdtempSync(join(tmpdir(), 'nearside-newcomer-'));
let server: DevServer;

beforeAll(async () => {
  execFileSync('git', ['clone', '--quiet', '--depth', '1', `file://${ROOT}`, clone]);
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: clone, stdio: 'pipe' });
  server = await startDevServer([], { cwd: clone });
}, 300_000);

afterAll(async () => {
  await server?.stop();
  rmSync(clone, { recursive: true, force: true });
});

test('a clean clone serves an answer from the edge, with nothing configured', async () => {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'nearside-auto',
      max_tokens: 8,
      messages: [{ role: 'user', content: 'What is the capital of France?' }],
    }),
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('x-nearside-route')).toBe('edge');
  const answer = (await response.json()) as {
    choices: { message: { role: string; content: string } }[];
    usage: { completion_tokens: number };
  };
  expect(answer.choices[0]!.message).toMatchObject({ role: 'assistant', content: 'Paris' });
  expect(answer.usage.completion_tokens).toBeGreaterThan(0);
});

test('Ctrl-C ends it without a trace', async () => {
  const code = await server.stop();
  expect([0, 130]).toContain(code);
  await expect(fetch(server.url)).rejects.toThrow();
});
