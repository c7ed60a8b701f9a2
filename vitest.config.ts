import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

const scriptedEngine = {
  name: 'nearside-edge',
  modules: true,
  scriptPath: './test/support/scripted-engine.mjs',
  compatibilityDate: '2026-11-02',
  compatibilityFlags: ['enable_request_signal', 'request_signal_passthrough'],
  durableObjects: { EdgeModel: 'EdgeModel' },
};

const boundOrigin = { name: 'bound-origin', modules: true, scriptPath: './test/support/bound-origin.mjs', compatibilityDate: '2026-11-02' };

/**
 * `npm test`: what runs in workerd is tested inside workerd; the rest runs in Node. End-to-end tests start real servers and get a project of their own so
 * that they run one at a time.
 */
export default defineConfig({
  test: {
    // Log lines of the Workers are of interest where a test fails.
    silent: 'passed-only',
    projects: [
      {
        test: {
          name: 'node',
          include: ['test/models/**/*.test.ts', 'test/wasm/**/*.test.ts', 'test/node/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
        },
      },
      {
        // The gateway against a scripted engine and an origin that misbehaves on demand, both over real connections.
        plugins: [
          cloudflareTest({
            main: './worker/index.ts',
            wrangler: { configPath: './test/worker/wrangler.toml' },
            miniflare: { workers: [scriptedEngine, boundOrigin], serviceBindings: { ORIGIN_BOUND: 'bound-origin' } },
          }),
        ],
        test: {
          name: 'workerd',
          include: ['test/worker/**/*.test.ts', 'test/routes/**/*.test.ts'],
          globalSetup: './test/support/origin-setup.ts',
          testTimeout: 60_000,
        },
      },
      {
        // The engine is a script of its own, with its own bindings; packs are made before and handed in.
        plugins: [
          cloudflareTest(({ inject }) => ({
            main: './worker/edge/index.ts',
            wrangler: { configPath: './test/edge-worker/wrangler.toml' },
            miniflare: { bindings: { TEST_PACK: inject<Record<string, string>>('edgePack') } },
          })),
        ],
        test: {
          name: 'edge',
          include: ['test/edge-worker/**/*.test.ts'],
          globalSetup: './test/edge-worker/make-pack.ts',
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          environment: 'node',
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
