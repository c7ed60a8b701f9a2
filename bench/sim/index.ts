import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileOption, numberOption, numbersOption, packOption, runOrTell, UsageError } from '../options.ts';
import { bootstrap, type Interval } from './bootstrap.ts';
import { chartOf } from './chart.ts';
import { type Comparison, compare } from './compare.ts';
import { readScenario, scenarioNames } from './scenario.ts';
import { hindsightOf, tableOf, verdictOf } from './table.ts';
import { openTrace } from './traces.ts';

const HELP = `Usage: npm run sim -- [--trace api-mix|FILE] [--scenario NAME|FILE|all] [--hindsight RUNS] [--seed N] [--svg FOLDER] [--json FILE] [--markdown]
       npm run sim -- --break-even [--markdown]
       npm run sim -- --pipeline-cost --pack FOLDER [--size 128+64] [--prefill N] [--decode N,N,N] [--hop MS] [--load MS] [--markdown]
       npm run sim -- --validate [--edge-pack FOLDER] [--requests N] [--json FILE]

Simulates edge replicas, GPU pools, the network between them and gateways that decide by the router's own code, and compares the policies with
sending everything to one side, a fixed length threshold (the best of those tried) and a random mix of the same edge share.
--trace       api-mix (generated, the default), Azure's CSV or Mooncake's JSON lines
--scenario    ${scenarioNames.join(', ')}, all (the default), or a file like bench/sim/scenarios/*.json
--hindsight   in so many runs of each scenario, what moving single requests could have won, and what nobody can go below (minutes)
--seed        of the first run of the API mix (default 1000, that of the report)
--svg         draws each scenario into this folder, as TRACE-SCENARIO.svg
--json        writes all figures
--markdown    tables for the documentation
--break-even  requests per hour above which a GPU is cheaper than the edge, by the money functions of the router
--pipeline-cost  what 1,000 tokens of answers cost in a pipeline of Durable Objects and elsewhere (docs/pipeline-cost.md); --prefill
              and --decode are tokens per second of one core, of answers with 1, 4 and 16 at once; --hop what a call to a stage adds,
              --load what a cold start takes
--validate    the simulator against the running gateway on a small real load: --requests of it (40), half of them by each route; --edge-pack is what the
              edge runs
A simulation: what goes in is said in docs/routing-simulation.md. The same input gives the same output.
`;

const OPTIONS = {
  trace: { type: 'string', default: 'api-mix' },
  scenario: { type: 'string', default: 'all' },
  hindsight: { type: 'string', default: '0' },
  seed: { type: 'string', default: '1000' },
  svg: { type: 'string' },
  json: { type: 'string' },
  markdown: { type: 'boolean', default: false },
  'break-even': { type: 'boolean' },
  'pipeline-cost': { type: 'boolean' },
  pack: { type: 'string' },
  size: { type: 'string', default: '128+64' },
  prefill: { type: 'string', default: '110' },
  decode: { type: 'string', default: '46,67,70' },
  hop: { type: 'string', default: '1' },
  load: { type: 'string', default: '4000' },
  validate: { type: 'boolean' },
  'edge-pack': { type: 'string' },
  requests: { type: 'string', default: '40' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** At least one of something, and a rate that is divided by. */
const some = { min: 1, whole: true };
const rate = { over: 0 };

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'];

await runOrTell('npm run sim -- --help', async () => {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) process.stdout.write(HELP);
  else if (values['break-even']) (await import('./break-even.ts')).printBreakEven(values.markdown);
  else if (values['pipeline-cost']) await pipelineCost(values);
  else if (values.validate) {
    const requests = numberOption('requests', values.requests, { min: 2, whole: true });
    const { validate } = await import('./validate.ts');
    await validate({
      pack: values['edge-pack'] === undefined ? null : packOption('edge-pack', values['edge-pack']),
      requests,
      json: values.json ?? null,
    });
  } else await simulateAll(values);
});

async function pipelineCost(values: Values): Promise<void> {
  if (values.pack === undefined) throw new UsageError('--pack is missing: how many objects hold a pack is part of the cost.');
  const [promptTokens, answerTokens] = numbersOption('size', values.size, '+', 2, some) as [number, number];
  const decode = numbersOption('decode', values.decode, ',', 3, rate) as [number, number, number];
  const prefill = numberOption('prefill', values.prefill, rate);
  const [hopMs, loadMs] = [numberOption('hop', values.hop), numberOption('load', values.load)];
  const { printPipelineCost } = await import('./pipeline-cost-table.ts');
  await printPipelineCost({
    pack: packOption('pack', values.pack),
    promptTokens,
    answerTokens,
    prefill,
    decode,
    hopMs,
    loadMs,
    markdown: values.markdown,
  });
}

async function simulateAll(values: Values): Promise<void> {
  const seed = numberOption('seed', values.seed, { whole: true });
  const hindsight = numberOption('hindsight', values.hindsight, { whole: true });
  const trace = openTrace(values.trace === 'api-mix' ? values.trace : fileOption('trace', values.trace), seed);
  const names = values.scenario === 'all' ? scenarioNames : [values.scenario];
  for (const name of names) if (!scenarioNames.some((known) => known === name)) fileOption('scenario', name);
  const comparisons: Comparison[] = [];
  if (values.svg) mkdirSync(values.svg, { recursive: true });
  for (const name of names) {
    const comparison = await compare(readScenario(name), trace, hindsight);
    comparisons.push(comparison);
    const { title, requests, runs } = comparison;
    console.log(`${values.markdown ? '### ' : ''}${title}\n\n${runs} runs of ${requests} requests of ${trace.name}.\n`);
    console.log(
      `${tableOf(comparison, values.markdown ? 'markdown' : 'text')}\n\n${[verdictOf(comparison), hindsightOf(comparison)].join('\n')}\n`,
    );
    if (values.svg) writeFileSync(join(values.svg, `${trace.name}-${comparison.scenario}.svg`), chartOf(comparison));
  }
  if (comparisons.length > 1) summarize(comparisons);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ trace: trace.name, comparisons }, null, 2)}\n`);
}

/** How often balanced wins against a threshold that suits the scenario, and against the one threshold that suits all of them best. */
function summarize(comparisons: Comparison[]): void {
  const won = (verdict: Comparison['verdict']) =>
    comparisons.filter((comparison) => comparison.verdict === verdict).map(({ scenario }) => scenario);
  const listed = (names: string[]) => (names.length > 0 ? ` (${names.join(', ')})` : '');
  const [better, worse, same] = [won('better'), won('worse'), won('no difference')];
  console.log(
    `Against the best threshold for each scenario, balanced is better in ${better.length} of ${comparisons.length}${listed(better)}, worse in ${worse.length}${listed(worse)}, and no difference can be told in ${same.length}${listed(same)}.`,
  );
  const { router, differences } = oneForAll(comparisons);
  const above = differences.filter(({ low }) => low > 0).length;
  const below = differences.filter(({ high }) => high < 0).length;
  console.log(
    `Against the one threshold that is best over all of them (${router}), balanced is better in ${above} and worse in ${below}; that threshold's score differs from balanced's by ${(100 * bootstrap(differences.map((one, i) => one.mean / comparisons[i]!.rows[0]!.score)).mean).toFixed(0)} % on average.`,
  );
}

/** The threshold whose scores, in those of balanced, are the least on average: who configures one does not know which scenario comes. */
function oneForAll(comparisons: Comparison[]): { router: string; differences: Interval[] } {
  const names = comparisons[0]!.sweep.map(({ router }) => router);
  const relative = (index: number) => comparisons.reduce((sum, { sweep, rows }) => sum + sweep[index]!.score / rows[0]!.score, 0);
  const best = names.reduce((a, _, i) => (relative(i) < relative(a) ? i : a), 0);
  return { router: names[best]!, differences: comparisons.map(({ sweep }) => sweep[best]!.worseBy) };
}
