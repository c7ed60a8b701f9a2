import { z } from 'zod';
import { ModelError } from '../model-error.ts';
import { HttpError } from './http-error.ts';
import { DEFAULT_RETRY, type RetryPolicy, withRetries } from './patience.ts';
import { readText } from './read-body.ts';
import { RemoteFile } from './remote-file.ts';
import { type Connection, DEFAULT_IDLE_MS, request } from './request.ts';

export interface HubOptions {
  /** Base address of the hub; huggingface.co by default. */
  endpoint?: string;
  token?: string | null;
  fetch?: typeof fetch;
  retry?: Partial<RetryPolicy>;
  idleMs?: number;
}

/** A file as the hub publishes it. */
export interface HubFile {
  path: string;
  size: number;
  /** SHA-256 in hex of a large (LFS) file; null for a small one. */
  sha256: string | null;
  /** Git's own SHA-1 of a small file ("blob", length, content), in hex; null when the hub does not say. */
  gitSha1: string | null;
}

/** One commit of a model repository. */
export interface Repository {
  name: string;
  /** The commit's hash: files are asked for by it, so that they all belong together. */
  commit: string;
  files: Map<string, HubFile>;
  open(path: string): RemoteFile;
}

export const DEFAULT_ENDPOINT = 'https://huggingface.co';

const infoSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().int().nonnegative().nullish(),
      blobId: z.string().nullish(),
      lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().nonnegative() }).nullish(),
    }),
  ),
});

/**
 * Looks up `name` ("Qwen/Qwen3.5-0.8B") at `revision` (branch, tag or commit) on a Hugging Face compatible hub. Protocol: https://huggingface.co/docs/hub/api.
 * Throws `ModelError` when there is no such repository or revision, when it may not be read, and when the hub cannot be reached.
 */
export async function openRepository(name: string, revision: string, options: HubOptions = {}, signal?: AbortSignal): Promise<Repository> {
  const endpoint = (options.endpoint ?? DEFAULT_ENDPOINT).replace(/\/+$/, '');
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? ''))
    throw new ModelError(`HF_ENDPOINT must be an http(s) address, and "${endpoint}" is not.`);
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  const connection: Connection = {
    fetch: options.fetch ?? fetch,
    credential: options.token ? { token: options.token, origin: new URL(endpoint).origin } : null,
    idleMs: options.idleMs ?? DEFAULT_IDLE_MS,
  };
  const explain = (error: HttpError) => explainRefusal(error, name, revision, endpoint, connection.credential !== null);
  const api = `${endpoint}/api/models/${name}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const { sha, siblings } = await fetchInfo(api, name, connection, retry, explain, signal);
  const files = new Map(siblings.map((file) => [file.rfilename, describe(file)]));
  return {
    name,
    commit: sha,
    files,
    open(path) {
      const { size, sha256 } = files.get(path)!;
      const url = `${endpoint}/${name}/resolve/${sha}/${path.split('/').map(encodeURIComponent).join('/')}`;
      return new RemoteFile({ name: path, url, size, sha256, connection, retry, explain });
    },
  };
}

async function fetchInfo(
  url: string,
  name: string,
  connection: Connection,
  retry: RetryPolicy,
  explain: (error: HttpError) => Error,
  signal?: AbortSignal,
): Promise<z.infer<typeof infoSchema>> {
  const text = await withRetries(retry, signal, async () => {
    const { response } = await request(name, url, connection, { accept: 'application/json' }, signal);
    return readText(name, response, connection.idleMs, signal);
  }).catch((error) => {
    throw error instanceof HttpError ? explain(error) : error;
  });
  try {
    return infoSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError(`${new URL(url).host} does not answer as a Hugging Face compatible hub does; check HF_ENDPOINT.`, { cause });
  }
}

const describe = ({ rfilename, size, blobId, lfs }: z.infer<typeof infoSchema>['siblings'][number]): HubFile => ({
  path: rfilename,
  size: lfs?.size ?? size ?? 0,
  sha256: lfs?.sha256 ?? null,
  gitSha1: lfs ? null : (blobId ?? null),
});

/** What a refusal means and what to do about it. The hub answers 401 for a repository that does not exist too, so as not to reveal private ones. */
function explainRefusal(error: HttpError, name: string, revision: string, endpoint: string, hasToken: boolean): Error {
  const page = `${endpoint}/${name}`;
  const say = (text: string) => new ModelError(text, { cause: error });
  if (error.code === 'GatedRepo' || error.status === 403) {
    return hasToken
      ? say(
          `${name} is gated, and the token in HF_TOKEN may not read it: accept its conditions at ${page}, and use a token with read access.`,
        )
      : say(`${name} is gated: accept its conditions at ${page}, create a token at ${endpoint}/settings/tokens, and set HF_TOKEN to it.`);
  }
  if (error.status === 401) {
    return hasToken
      ? say(`The token in HF_TOKEN was refused for ${name}: the token is wrong or expired, or the repository does not exist.`)
      : say(
          `${name} does not exist, or is private: check the name, or create a token at ${endpoint}/settings/tokens and set HF_TOKEN to it.`,
        );
  }
  if (error.status === 404) {
    return error.code === 'RevisionNotFound'
      ? say(`${name} has no revision "${revision}".`)
      : say(error.message.startsWith(`${name}:`) ? `There is no model ${name} at ${endpoint}.` : error.message);
  }
  return error;
}
