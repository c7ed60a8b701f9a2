import { RefusalError } from '../../worker/edge/refusal.ts';
import { UsageError } from '../edge-node/usage-error.ts';

const HELP = `nearside COMMAND ...

  gateway    the OpenAI-compatible gateway
  edge       the edge engine, in a process of its own, so that its computing holds up no stream
  models     packs: pull, pack, verify and others

nearside COMMAND --help says more about each.`;

const COMMANDS: Record<string, (args: string[]) => Promise<number | undefined>> = {
  async gateway(args) {
    const { readGatewayOptions } = await import('./gateway-options.ts');
    const { serveGateway } = await import('./gateway.ts');
    const options = readGatewayOptions(args);
    if (options) await serveGateway(options);
    return undefined;
  },
  async edge(args) {
    const { readEdgeOptions } = await import('../edge-node/options.ts');
    const { serveEdge } = await import('../edge-node/serve.ts');
    const options = readEdgeOptions(args, { command: 'nearside edge', models: 'nearside models', port: 8788 });
    if (!options) return undefined;
    const { address, model, priority } = await serveEdge(options);
    console.log(JSON.stringify({ event: 'listening', address, model, priority }));
    return undefined;
  },
  async models(args) {
    const { main } = await import('../../models/cli/main.ts');
    return main(args, 'nearside models');
  },
};

try {
  const [name, ...args] = process.argv.slice(2);
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command) process.exitCode = await command(args);
  else if (name === undefined || name === '--help' || name === '-h') console.log(HELP);
  else throw new UsageError(`There is no command "${name}"; the commands are ${Object.keys(COMMANDS).join(', ')}.`);
} catch (error) {
  const known = error instanceof UsageError || error instanceof RefusalError || (error as Error).message.startsWith('NEARSIDE_');
  console.error(known ? (error as Error).message : error);
  process.exitCode = 1;
}
