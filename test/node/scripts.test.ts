import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** Every command of package.json that is a script of this repository. */
const ROOT = join(import.meta.dirname, '../..');
const commands: Record<string, string> = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;
const scripts = Object.entries(commands).flatMap(
  ([name, command]) =>
    /^(?:exec )?node (\S+\.ts)$/
      .exec(command)
      ?.slice(1)
      .map((file) => [name, file]) ?? [],
);

const run = (file: string, ...args: string[]) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [file, ...args], { cwd: ROOT, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    );
  });

it.each(scripts)('npm run %s tells what it takes, and does nothing with an option that it does not know', async (_, file) => {
  const help = await run(file!, '--help');
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toMatch(/npm run /);
  const wrong = await run(file!, '--nonsense');
  expect(wrong.code).toBe(1);
  expect(wrong.stderr.split('\n')[0]).toMatch(/(Unknown option|There is no (command|benchmark)) ["']--nonsense["']/);
  expect(wrong.stderr).not.toMatch(/^ {4}at /m);
});
