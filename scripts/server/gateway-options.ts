import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { firstSentence } from '../../models/cli/option-errors.ts';
import { whole } from '../edge-node/options.ts';
import { UsageError } from '../edge-node/usage-error.ts';
import type { SettingsFiles } from './settings.ts';

export interface GatewayOptions {
  host: string;
  port: number;
  runtime: 'workerd' | 'node';
  files: SettingsFiles;
  /** PEM files. */
  tls: { key: string; cert: string } | null;
  drainMs: number;
  printConfig: boolean;
}

const HELP = `nearside gateway [--host ADDRESS] [--port N] [--runtime workerd|node] [--settings FILE] [--origins FILE] [--tls-cert FILE --tls-key FILE]

Serves the gateway. Its settings are NEARSIDE_* variables (README.md), from the environment and from files.

  --host ADDRESS     listen on this address (default 0.0.0.0: every one of this machine)
  --port N           listen on this port (default 8787)
  --runtime NAME     workerd (default; NEARSIDE_WORKERD names the program when it is not found), or node: in this process, without workerd
  --settings FILE    lines NAME=VALUE, read after the environment
  --origins FILE     JSON for NEARSIDE_ORIGINS (docs/origins.md)
  --tls-cert FILE, --tls-key FILE   PEM files, to serve https; without them, put a proxy in front that does
  --drain SECONDS    on SIGTERM, let answers that run go on for so long (default 50); a second signal ends them
  --print-config     print workerd's configuration and end

SIGHUP reads both files again and goes on with them; if something is wrong with them it says what, and goes on as before.`;

/** What the command line asks for; null after the help was printed. Throws `UsageError`. */
export function readGatewayOptions(args: string[]): GatewayOptions | null {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args,
      options: {
        ...{ host: text, port: text, runtime: text, settings: text, origins: text, drain: text },
        ...{ 'tls-cert': text, 'tls-key': text, 'print-config': flag, help: { ...flag, short: 'h' } },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${firstSentence(error)}. See nearside gateway --help.`);
  }
  if (values.help) {
    console.log(HELP);
    return null;
  }
  const runtime = values.runtime ?? 'workerd';
  if (runtime !== 'workerd' && runtime !== 'node') throw new UsageError(`--runtime must be workerd or node, and "${runtime}" is not.`);
  const path = (name: string) => (values[name] === undefined ? null : resolve(String(values[name])));
  const [cert, key] = [path('tls-cert'), path('tls-key')];
  if ((cert === null) !== (key === null)) throw new UsageError('--tls-cert and --tls-key belong together: give both, or neither.');
  return {
    host: String(values.host ?? '0.0.0.0'),
    port: whole('port', String(values.port ?? '8787'), 0, 65_535),
    runtime,
    files: { settings: path('settings'), origins: path('origins') },
    tls: cert === null ? null : { cert, key: key! },
    drainMs: whole('drain', String(values.drain ?? '50'), 0, 3600) * 1000,
    printConfig: values['print-config'] === true,
  };
}
