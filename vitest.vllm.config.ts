import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'vllm',
    include: ['test/vllm/**/*.test.ts'],
    environment: 'node',
    testTimeout: 120_000,
    hookTimeout: 600_000,
    fileParallelism: false,
  },
});
