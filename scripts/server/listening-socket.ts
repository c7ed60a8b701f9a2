import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cannotListen } from '../edge-node/usage-error.ts';

export interface ListeningSocket {
  /** Number of the file descriptor, to be handed to child processes. */
  fd: number;
  port: number;
}

/** Listens, sends the socket to its parent, and ends. A TCP handle travels as it is, and nobody accepts connections on what arrives. */
const HELPER = `
const server = require('node:net').createServer();
server.once('error', ({ code }) => process.send({ code }));
server.listen({ ...JSON.parse(process.argv[1]), backlog: 1024 }, () => process.send({ port: server.address().port }, server._handle, () => process.exit()));
`;

/** Keeps the handles from being collected, and so the sockets open. */
const open: unknown[] = [];

/**
 * A socket that listens without a reader: connections wait until some process accepts them. Several may, one after the other or together, which is how a server is replaced
 * without a connection being refused. Node's own servers accept what they listen to, so another process opens it.
 * @throws `UsageError` when the address cannot be used
 */
export async function listeningSocket(host: string, port: number): Promise<ListeningSocket> {
  const helper = spawn(process.execPath, ['-e', HELPER, JSON.stringify({ host, port })], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [{ code, port: given }, handle] = (await once(helper, 'message')) as [{ code?: string; port?: number }, { fd: number }];
  helper.disconnect();
  if (code !== undefined) {
    throw cannotListen(`${host}:${port}`, code);
  }
  open.push(handle);
  return { fd: handle.fd, port: given! };
}
