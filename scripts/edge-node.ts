import { RefusalError } from '../worker/edge/refusal.ts';
import { readEdgeOptions } from './edge-node/options.ts';
import { serveEdge } from './edge-node/serve.ts';
import { UsageError } from './edge-node/usage-error.ts';

const program = { command: 'npm run edge-node --', models: 'npm run -s models --', port: 8790 };

try {
  const options = readEdgeOptions(process.argv.slice(2), program);
  if (options) {
    const { address, model, priority, key, drain } = await serveEdge(options);
    console.log(`Nearside, edge engine
  Engine       ${address}
  Model        ${model}
  Priority     ${priority}
  Gateway      npm run dev -- --var NEARSIDE_EDGE_URL:${address}${key === null ? '' : ' --var NEARSIDE_EDGE_KEY:...'}
  Stop         Ctrl-C
`);
    // npm runs scripts in a shell, and a signal to npm alone ends the shell without a word to this process.
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && !drain.draining && process.exit(0), 500).unref();
  }
} catch (error) {
  const known = error instanceof UsageError || error instanceof RefusalError || (error as Error).message.startsWith('NEARSIDE_');
  console.error(known ? (error as Error).message : error);
  process.exitCode = 1;
}
