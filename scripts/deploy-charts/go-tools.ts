import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const megabyte = 1 << 20;

/** The Go command to use: GO, or go. Throws an Error that says what to install when there is none. */
export function findGo(): string {
  const go = process.env.GO ?? 'go';
  const probe = spawnSync(go, ['version'], { encoding: 'utf8' });
  if (probe.error || probe.status !== 0) {
    throw new Error(`\`${go} version\` does not run: install Go 1.26 or newer (https://go.dev/dl), or name another go command in GO.`);
  }
  return go;
}

/**
 * A program built from the Go module proxy, as a path. Built once per version and kept in `cache`.
 * @param version a module version, v1.2.3
 */
export async function goTool(go: string, cache: string, name: string, path: string, version: string): Promise<string> {
  const program = join(cache, `${name}-${version}`);
  if (existsSync(program)) return program;
  console.log(`Building ${name} ${version} (once) ...`);
  // Built beside and renamed, so that an interrupted build leaves nothing that looks complete.
  const fresh = `${program}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await runGo(go, ['install', `${path}@${version}`], { GOBIN: fresh, CGO_ENABLED: '0' });
  await rename(join(fresh, path.split('/').at(-1)!), program);
  await rm(fresh, { recursive: true });
  return program;
}

/** The folder of a module's files in Go's module cache, downloaded when it is not there. */
export async function goModule(go: string, path: string, version: string): Promise<string> {
  const output = await runGo(go, ['mod', 'download', '-json', `${path}@${version}`]);
  return (JSON.parse(output) as { Dir: string }).Dir;
}

async function runGo(go: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  try {
    const { stdout } = await execute(go, args, { env: { ...process.env, ...env }, maxBuffer: 16 * megabyte });
    return stdout;
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr || error)
      .trim()
      .split('\n')
      .slice(-3)
      .join('\n');
    throw new Error(`go ${args.join(' ')} failed: is the Go module proxy reachable (GOPROXY), and Go new enough?\n${said}`);
  }
}
