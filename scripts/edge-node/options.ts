import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { firstSentence } from '../../models/cli/option-errors.ts';
import { defaultThreads, maxThreads } from './place.ts';
import { DEFAULT_NICE, type Nice } from './priority.ts';
import { UsageError } from './usage-error.ts';

export interface EdgeOptions {
  model: string;
  port: number;
  host: string;
  threads: number;
  /** How far it stands back for other programs of the machine. */
  nice: Nice;
  /** Longest wait for answers that run when the engine is told to stop. */
  drainMs: number;
}

/** How the engine is started: from the repository with npm, or as the installed program. */
export interface EdgeProgram {
  command: string;
  models: string;
  port: number;
}

const helpText = ({
  command,
  models,
  port,
}: EdgeProgram) => `${command} --model PACK_DIR [--port N] [--host ADDRESS] [--threads N] [--nice N] [--drain SECONDS]

Serves the edge engine alone, in this process: for a gateway that has no engine Worker. The gateway takes it as its edge model with
NEARSIDE_EDGE_URL=http://ADDRESS:PORT and the same NEARSIDE_EDGE_KEY.

  --model PACK_DIR   the model; make one with: ${models} pack SOURCE PACK_DIR
  --port N           listen on this port (default ${port}; 0 takes any that is free)
  --host ADDRESS     listen on this address (default 127.0.0.1); any but this machine's own asks for a key
  --threads N        compute on so many threads (default: one for each processor, at most 4; here ${defaultThreads})
  --nice N           stand back for other programs of this machine, so that a gateway's streams go first: idle (default; whoever wakes up takes
                     the processor from it), or 0 (not at all) to 19; where others compute all the time take 10, as idle stands still there
  --drain SECONDS    on SIGTERM, let answers that run go on for so long (default 50); a second signal ends them

GET /healthz and /readyz need no key; /readyz says 503 once it is told to stop.

Environment:
  NEARSIDE_EDGE_KEY                  secret that the gateway must bring; nobody else is served then
  NEARSIDE_EDGE_SESSIONS, _QUEUE     answers that run at once (4), and that may wait (8)
  NEARSIDE_EDGE_MEMORY_BYTES         most memory of the engine (4 GiB)
  NEARSIDE_EDGE_PREFIX_CACHE_BYTES   how much of that evaluated prompts may take (256 MB; 0 for none)
  NEARSIDE_EDGE_STALL_MS             longest wait for a client that does not read (30000)
  NEARSIDE_EDGE_WIDE                 0 leaves out 256-bit instructions (x64): prompts take half as long again`;

/** What the command line asks for; null after the help was printed. Throws `UsageError`. */
export function readEdgeOptions(args: string[], program: EdgeProgram): EdgeOptions | null {
  const text = { type: 'string' } as const;
  const options = {
    model: text,
    port: text,
    host: text,
    threads: text,
    nice: text,
    drain: text,
    help: { type: 'boolean', short: 'h' },
  } as const;
  let values: { model?: string; port?: string; host?: string; threads?: string; nice?: string; drain?: string; help?: boolean };
  try {
    values = parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError(`${firstSentence(error)}. See ${program.command} --help.`);
  }
  if (values.help) {
    console.log(helpText(program));
    return null;
  }
  if (!values.model) throw new UsageError(`--model PACK_DIR is missing: make a pack with ${program.models} pack SOURCE PACK_DIR.`);
  return {
    model: resolve(values.model),
    port: whole('port', values.port ?? String(program.port), 0, 65_535),
    host: values.host ?? '127.0.0.1',
    threads: whole('threads', values.threads ?? String(defaultThreads), 1, maxThreads),
    nice: niceOf(values.nice ?? String(DEFAULT_NICE)),
    drainMs: whole('drain', values.drain ?? '50', 0, 3600) * 1000,
  };
}

function niceOf(text: string): Nice {
  if (text === 'idle') return text;
  if (/^1?\d$/.test(text)) return Number(text);
  throw new UsageError(`--nice must be idle, or a whole number from 0 to 19, and "${text}" is not.`);
}

/** A whole number of the command line. Throws `UsageError`. */
export function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  const bounds = min === max ? `${min} on this machine` : `a whole number from ${min} to ${max}`;
  throw new UsageError(`--${name} must be ${bounds}, and "${text}" is not.`);
}
