import { describe, expect, it } from 'vitest';
import type { EndpointKind } from '../../../worker/origin/pool-config.ts';
import { type Look, look, parseMetrics } from '../../../worker/origin/scrape.ts';

const target = (kind: EndpointKind) => ({ url: 'http://gpu/v1', kind, key: 'secret', binding: null });
/** Answers by path; a number is a status, an Error a connection that fails. */
const server = (paths: Record<string, string | number | Error>) =>
  (async (url: string) => {
    const answer = paths[new URL(url).pathname] ?? 404;
    if (answer instanceof Error) throw answer;
    return typeof answer === 'number' ? new Response('', { status: answer }) : new Response(answer);
  }) as unknown as typeof fetch;
const at = (kind: EndpointKind, paths: Record<string, string | number | Error>, before: Look | null = null, now = 7) =>
  look(target(kind), before, server(paths), () => now);

const vllm = (waiting: number, sum = 0, count = 0) => `# HELP vllm:num_requests_waiting Number of requests waiting.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3.5-9B"} ${waiting}.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3.5-9B"} 1.0
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3.5-9B"} 5.0
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3.5-9B"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="Qwen/Qwen3.5-9B"} 0.75
vllm:time_to_first_token_seconds_sum{engine="0"} ${sum}
vllm:time_to_first_token_seconds_count{engine="0"} ${count}
`;

describe('look', () => {
  it.each<[EndpointKind, string, object]>([
    ['vllm', vllm(3), { waiting: 4, running: 5, kvUse: 0.75 }],
    [
      'sglang',
      'sglang:num_queue_reqs{model_name="m"} 2.0\nsglang:num_running_reqs 3\nsglang:token_usage 0.5\n',
      { waiting: 2, running: 3, kvUse: 0.5 },
    ],
    ['llama-server', 'llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n', { waiting: 1, running: 2, kvUse: null }],
  ])('reads the load of %s', async (kind, metrics, expected) => {
    expect((await at(kind, { '/health': 'ok', '/metrics': metrics })).seen).toMatchObject({ at: 7, alive: true, ...expected });
  });

  it('knows of other servers whether they are there', async () => {
    expect((await at('openai', { '/v1/models': '{}' })).seen).toMatchObject({ alive: true, waiting: null });
    expect((await at('openai', { '/v1/models': 401 })).seen.alive).toBe(true);
  });

  it('takes the mean time to first token since the last look, also across a restart', async () => {
    const paths = (sum: number, count: number) => ({ '/health': 'ok', '/metrics': vllm(0, sum, count) });
    const first = await at('vllm', paths(10, 100));
    expect(first.seen.ttftMs).toBe(null);
    const second = await at('vllm', paths(12, 104), first);
    expect(second.seen.ttftMs).toBe(500);
    expect((await at('vllm', paths(12, 104), second)).seen.ttftMs).toBe(500);
    expect((await at('vllm', paths(1, 1), second)).seen.ttftMs).toBe(500);
  });

  it('forgets what first tokens took when there have been none for a while', async () => {
    const paths = (sum: number, count: number) => ({ '/health': 'ok', '/metrics': vllm(0, sum, count) });
    const slow = await at('vllm', paths(90, 2), await at('vllm', paths(10, 1)), 1_000);
    expect(slow.seen.ttftMs).toBe(80_000);
    const soon = await at('vllm', paths(90, 2), slow, 9_000);
    expect(soon.seen.ttftMs).toBe(80_000);
    const later = await at('vllm', paths(90, 2), soon, 12_000);
    expect(later.seen.ttftMs).toBe(null);
    expect((await at('vllm', paths(91, 3), later, 13_000)).seen.ttftMs).toBe(1_000);
  });

  it('mourns nobody for one failed look, and keeps the figures of the one before', async () => {
    const well = await at('vllm', { '/health': 'ok', '/metrics': vllm(3) });
    const gone = { '/health': new Error('refused'), '/metrics': new Error('refused') };
    const once = await at('vllm', gone, well);
    expect(once.seen).toEqual(well.seen);
    const thrice = await at('vllm', gone, await at('vllm', gone, once));
    expect(thrice.seen).toMatchObject({ alive: false, waiting: null });
    expect((await at('vllm', { '/health': 'ok' }, thrice)).seen.alive).toBe(true);
  });

  it('does without metrics that are not there', async () => {
    expect((await at('llama-server', { '/health': 'ok', '/metrics': 501 })).seen).toMatchObject({ alive: true, waiting: null });
    let ill: Look | null = null;
    for (let i = 0; i < 3; i++) ill = await at('vllm', { '/health': 503, '/metrics': 404 }, ill);
    expect(ill!.seen.alive).toBe(false);
  });
});

describe('parseMetrics', () => {
  it('reads labels with anything in them, timestamps and special values, and skips the rest', () => {
    const samples = parseMetrics('a{x="} 9",y="\\""} 1.5e1 1700000000\na 2\n# a 3\nb NaN\nc +Inf\n\nnonsense\n');
    expect(samples.get('a')).toEqual([15, 2]);
    expect(samples.has('b')).toBe(false);
    expect(samples.has('nonsense')).toBe(false);
  });
});
