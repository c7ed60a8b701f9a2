import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';

/** What the engine and its stages are built from, and what the gateway is. */
export const ENGINE_SOURCES = ['worker/edge', 'wasm', 'models', 'routes', 'package-lock.json'];
/** What else a container's image is. */
export const CONTAINER_SOURCES = [...ENGINE_SOURCES, 'worker/routing', 'scripts/edge-node', 'deploy/container', 'scripts/edge-node.ts'];
export const GATEWAY_SOURCES = ['worker', 'wasm', 'models', 'routes', 'wrangler.toml', 'package-lock.json'];

const BUILT_FROM = /(\.(ts|js|mjs|wasm|toml|json|onnx)|Dockerfile)$/;
/** Parts of these folders that no Worker contains. */
const NOT_BUILT_FROM = /^models\/(demo|cli|router\/train)(\/|$)/;

/** SHA-256 of names and contents, hex: another one means that what is deployed may do something else. @param sources files and folders in `root` */
export function sourceHash(root: string, sources: string[]): string {
  const hash = createHash('sha256');
  for (const file of sources.flatMap((source) => filesOf(root, source)).sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

function filesOf(root: string, source: string): string[] {
  if (/\.\w+$/.test(source)) return [source];
  return readdirSync(join(root, source), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && BUILT_FROM.test(entry.name))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(root.length + (root.endsWith(sep) ? 0 : 1))
        .replaceAll(sep, '/'),
    )
    .filter((file) => !NOT_BUILT_FROM.test(file));
}
