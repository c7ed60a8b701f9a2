import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

/**
 * `npm test`: what runs in workerd is tested inside workerd; the rest runs in Node. End-to-end tests start real servers and get a project of their own so
 * that they run one at a time.
 */
export default defineConfig({
  test: {
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
        plugins: [cloudflareTest({ main: './worker/index.ts', wrangler: { configPath: './test/worker/wrangler.toml' } })],
        test: { name: 'workerd', include: ['test/worker/**/*.test.ts', 'test/routes/**/*.test.ts'], testTimeout: 60_000 },
      },
      {
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], environment: 'node', testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false },
      },
    ],
  },
});
