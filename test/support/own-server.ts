import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A running `nearside gateway` or `nearside edge`. */
export interface Program {
  url: string;
  process: ChildProcess;
  /** Both streams, so far. */
  output(): string;
  /** Exit code and signal. */
  exited: Promise<unknown[]>;
  /** Resolves when `text` has been written. */
  said(text: string): Promise<void>;
}

/**
 * Starts what `npm run build` has made, without the settings that this process happens to have.
 * @param home the built folder
 * @param launcher put before the program, for instance what limits it
 * @throws with its output when it ends before it listens
 */
export async function startProgram(
  home: string,
  args: string[],
  env: Record<string, string> = {},
  launcher: string[] = [],
): Promise<Program> {
  const [command, ...rest] = [...launcher, process.execPath, join(home, 'bin/nearside'), ...args];
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH, HOME, ...env } });
  let text = '';
  let heard = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += chunk;
      heard.resolve();
      heard = Promise.withResolvers();
    });
  const exited = once(child, 'exit');
  const said = async (words: string) => {
    while (!text.includes(words)) {
      const ended = await Promise.race([heard.promise, exited]);
      if (ended !== undefined && !text.includes(words)) throw new Error(`It has ended without having said "${words}":\n${text}`);
    }
  };
  await said('"listening"');
  const url = /"address":"(https?:[^"]+)"/.exec(text)![1]!.replace('//0.0.0.0', '//127.0.0.1');
  return { url, process: child, output: () => text, exited, said };
}
