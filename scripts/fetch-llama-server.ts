import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { LLAMA_SERVER_PACKAGE, LLAMA_SERVER_SITE } from '../test/support/llama-server.ts';
import { runPip } from './python-packages.ts';
import { runScript } from './run-script.ts';

const HELP = `npm run fetch:llama-server

Fetches llama.cpp's HTTP server for the origin tests (npm run test:origin) with pip into .cache/llama-server, which git ignores.
The server is the C++ one inside PyPI's ${LLAMA_SERVER_PACKAGE} (MIT; 34 MB; CPU wheels for Linux, macOS and Windows). Does nothing when it is there.
Needs Python 3.10 or newer with pip; PYTHON names another interpreter than python3.`;

await runScript(HELP, async () => {
  const done = `${LLAMA_SERVER_SITE}/.installed-${LLAMA_SERVER_PACKAGE}`;
  if (existsSync(done)) {
    console.log(`llama-server: ${LLAMA_SERVER_PACKAGE} is in ${LLAMA_SERVER_SITE}`);
    return;
  }
  // Installed beside and renamed, so that an interrupted run leaves nothing that looks complete.
  const fresh = `${LLAMA_SERVER_SITE}.new`;
  await rm(fresh, { recursive: true, force: true });
  await rm(LLAMA_SERVER_SITE, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  runPip(['install', '--root-user-action=ignore', '--target', fresh, '--no-deps', '--only-binary', ':all:', LLAMA_SERVER_PACKAGE]);
  await writeFile(`${fresh}/.installed-${LLAMA_SERVER_PACKAGE}`, '');
  await rename(fresh, LLAMA_SERVER_SITE);
  console.log(`llama-server: installed ${LLAMA_SERVER_PACKAGE} in ${LLAMA_SERVER_SITE}`);
});
