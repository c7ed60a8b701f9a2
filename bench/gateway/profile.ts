import type { CpuProfile } from '../engine/cpu-profile.ts';
import { openInspector } from '../engine/inspector.ts';
import { type Contender, startOurs } from './contenders.ts';
import { Load } from './load.ts';

const REQUESTS = 8_000;

/** Prints where our time goes, for whole answers and then for streams. Puts what it starts into `running`. */
export async function profileOurs(folder: string, originUrl: string, body: string, running: Contender[]): Promise<void> {
  const ours = await startOurs(folder, originUrl, true);
  running.push(ours);
  const load = new Load(ours.target);
  await load.whole(body, 32, 100);
  await load.streams(32, 1, 50, 4);
  const inspector = await openInspector(ours.inspectorUrl, 'gateway');
  await inspector.send('Profiler.enable');
  await inspector.send('Profiler.setSamplingInterval', { interval: 100 });
  const profiled = async (what: string, count: number, work: Promise<unknown>) => {
    await inspector.send('Profiler.start');
    await work;
    const { profile } = await inspector.send<{ profile: CpuProfile }>('Profiler.stop');
    print(what, count, profile);
  };
  await profiled('whole answers, µs a request', REQUESTS, load.whole(body, 32, REQUESTS / 32));
  await profiled('streams, µs a token', 32 * 400, load.streams(32, 1, 400, 10));
  inspector.close();
  load.close();
}

/** Functions are told by their line in the bundle; those of the runtime have none, so by who called them. */
function print(what: string, count: number, profile: CpuProfile): void {
  const callers = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const place = ({ callFrame: { functionName, lineNumber } }: CpuProfile['nodes'][number]) =>
    `${functionName || 'anonymous'}${lineNumber > 0 ? `:${lineNumber + 1}` : ''}`;
  const names = new Map(
    profile.nodes.map((node) => {
      const caller = callers.get(node.id);
      return [node.id, node.callFrame.lineNumber > 0 || !caller ? place(node) : `${place(node)} <- ${place(caller)}`];
    }),
  );
  const times = new Map<string, number>();
  for (const [i, id] of profile.samples.entries()) times.set(names.get(id)!, (times.get(names.get(id)!) ?? 0) + profile.timeDeltas[i]!);
  const longest = [...times].sort((a, b) => b[1] - a[1]).slice(0, 60);
  const lines = longest.map(([name, microseconds]) => `  ${(microseconds / count).toFixed(1).padStart(8)}  ${name}`);
  console.log(`Self time, ${what}\n${lines.join('\n')}\n`);
}
