import type { TestProject } from 'vitest/node';
import { startFaultOrigin } from './fault-origin.ts';

/** Starts the origin of the workerd tests: fetches inside workerd are real, so their server is too. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const origin = await startFaultOrigin();
  project.provide('originUrl', origin.url);
  return () => origin.close();
}

declare module 'vitest' {
  interface ProvidedContext {
    originUrl: string;
  }
}
