import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ApiFault {
  status: number;
  code: number;
  message: string;
}

/** As much of Cloudflare's API as a deployment uses, wrangler's part included, to break. The real one is api.cloudflare.com. */
export interface CloudflareServer {
  /** For CLOUDFLARE_API_BASE_URL. */
  baseUrl: string;
  accountId: string;
  scripts: Map<string, { secrets: Map<string, string>; metadata: string }>;
  buckets: Set<string>;
  /** "METHOD path" of every request. */
  seen: string[];
  fault: (request: string) => ApiFault | null;
  close(): Promise<void>;
}

const TOKEN = 'token-1';
export const cloudflareToken = TOKEN;

export async function startCloudflare(): Promise<CloudflareServer> {
  const accountId = 'a'.repeat(32);
  const state: CloudflareServer = {
    ...{ baseUrl: '', accountId, scripts: new Map(), buckets: new Set(), seen: [], fault: () => null, close: async () => {} },
  };
  const server = createServer((request, response) => {
    void respond(state, request).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  state.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  state.close = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return state;
}

const refuse = ({ status, code, message }: ApiFault) => ({
  status,
  body: { success: false, result: null, errors: [{ code, message }], messages: [] },
});
const accept = (result: unknown) => ({ status: 200, body: { success: true, result, errors: [], messages: [] } });

async function respond(state: CloudflareServer, request: IncomingMessage) {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString('latin1');
  const { pathname } = new URL(request.url!, 'http://x');
  const label = `${request.method} ${pathname.replace(`/accounts/${state.accountId}`, '')}`;
  state.seen.push(label);
  const fault = state.fault(label);
  if (fault) return refuse(fault);
  if (request.headers.authorization !== `Bearer ${TOKEN}`)
    return refuse({ status: 401, code: 10001, message: 'Unable to authenticate request' });
  return answer(state, label, body);
}

function answer({ accountId, scripts, buckets }: CloudflareServer, label: string, body: string) {
  const [, name, rest = ''] = /\/workers\/(?:scripts|services|workers)\/([^/]+)(.*)$/.exec(label) ?? [];
  const script = name === undefined ? undefined : scripts.get(name);
  const missing = refuse({ status: 404, code: 10007, message: 'This Worker does not exist on your account.' });
  if (label === 'GET /accounts') return accept([{ id: accountId, name: 'test account' }]);
  if (label === 'GET /memberships') return accept([{ id: 'm', account: { id: accountId, name: 'test account' } }]);
  if (label === 'GET /user') return accept({ id: 'u', email: 'someone@example.com' });
  if (label === 'GET /user/tokens/verify') return accept({ id: 'token-id', status: 'active' });
  if (label === 'GET /workers/scripts') return accept([...scripts.keys()].map((id) => ({ id })));
  if (label === 'GET /workers/subdomain') return accept({ subdomain: 'test' });
  if (label === 'POST /r2/buckets') {
    buckets.add((JSON.parse(body) as { name: string }).name);
    return accept({});
  }
  const bucket = /^GET \/r2\/buckets\/(.+)$/.exec(label)?.[1];
  if (bucket !== undefined)
    return buckets.has(bucket)
      ? accept({ name: bucket })
      : refuse({ status: 404, code: 10006, message: 'The specified bucket does not exist.' });
  if (name === undefined) return refuse({ status: 404, code: 7000, message: `No route for that URI: ${label}` });
  if (rest === '' && label.startsWith('PUT')) {
    scripts.set(name, { secrets: script?.secrets ?? new Map(), metadata: body });
    return accept({
      id: name,
      tag: 'tag',
      etag: 'etag',
      entry_point: 'index.js',
      startup_time_ms: 1,
      deployment_id: 'd',
      pipeline_hash: 'p',
    });
  }
  if (rest === '' && label.startsWith('DELETE')) return scripts.delete(name) ? accept(null) : missing;
  if (!script) return missing;
  if (label.startsWith('PUT') && rest === '/secrets') {
    const secret = JSON.parse(body) as { name: string; text: string };
    script.secrets.set(secret.name, secret.text);
    return accept({ name: secret.name, type: 'secret_text' });
  }
  if (rest === '/secrets') return accept([...script.secrets.keys()].map((secret) => ({ name: secret, type: 'secret_text' })));
  if (label.includes('/workers/workers/')) return accept({ id: name, name, subdomain: { enabled: false, previews_enabled: false } });
  if (rest === '/subdomain') return accept({ enabled: false, previews_enabled: false });
  if (label.startsWith('GET') && rest === '') return accept({ default_environment: { environment: 'production', script: { id: name } } });
  return accept({});
}
