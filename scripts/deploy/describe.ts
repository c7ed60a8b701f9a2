import type { Manifest } from '../../models/pack/manifest.ts';
import { describePlan } from '../../wasm/engine/pipeline/describe-plan.ts';
import { pricesAsOf } from '../../worker/routing/prices.ts';
import { type Cost, count, type Load } from './cost.ts';
import type { Deployment, Script } from './plan.ts';
import type { Settings } from './settings.ts';

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** What will be created, a line each. */
export function describeDeployment(deployment: Deployment, settings: Settings): string[] {
  const { regions, replicas } = settings.edge;
  const where = regions.length > 0 ? `in each of ${regions.join(', ')}` : 'where the first request comes from';
  return [
    `${settings.name}: version ${deployment.version}, ${deployment.placement}, ${replicas} replica${replicas > 1 ? 's' : ''} ${where}`,
    ...deployment.notes,
    '',
    'To create, in this order:',
    `  bucket   ${deployment.bucket} (R2), unless it is there`,
    `  objects  ${deployment.objects} at ${deployment.prefix}/, ${megabytes(deployment.packBytes)} MB; the manifest last`,
    ...deployment.scripts.map((script) => `  ${script.kind.padEnd(8)} ${script.name}: ${bindingsOf(script).join(', ')}`),
    `  secrets  of ${settings.name}: ${deployment.secrets.join(', ')}`,
    '',
    'Memory:',
    ...describePlan(deployment.memory, deployment.budgetBytes).map((line) => `  ${line}`),
  ];
}

/** Its Durable Objects, buckets and addresses. */
function bindingsOf({ config }: Script): string[] {
  const bindings = config.durable_objects?.bindings ?? [];
  const stages = bindings.filter(({ name }) => name.startsWith('STAGE_') && name !== 'STAGE_MODEL');
  const objects = bindings
    .filter((binding) => !stages.includes(binding))
    .map(({ name, class_name, script_name }) => `${name} = ${class_name}${script_name ? ` of ${script_name}` : ''}`);
  if (stages.length > 0) objects.push(`${stages[0]!.name} to ${stages.at(-1)!.name} = these stages`);
  const buckets = (config.r2_buckets ?? []).map(({ binding, bucket_name }) => `${binding} = R2 ${bucket_name}`);
  const routes = ((config.routes as { pattern: string }[] | undefined) ?? []).map(({ pattern }) => `at https://${pattern}`);
  return [...objects, ...buckets, ...routes, ...(config.workers_dev === true ? ['at its workers.dev address'] : [])];
}

/** The estimate, with what it rests on. */
export function describeCost(cost: Cost, load: Load, rates: { prefill: number; decode: number; measured: boolean }): string[] {
  const { requestsPerMonth, promptTokens, answerTokens } = load;
  const width = Math.max(...cost.lines.map(({ what }) => what.length));
  const money = (usd: number) => `$${usd.toFixed(2)}`.padStart(10);
  return [
    `Cost of a month, ${count(requestsPerMonth)} requests of ${promptTokens} + ${answerTokens} tokens, prices of ${pricesAsOf}, before what plans include:`,
    ...cost.lines.map(({ what, usd, how }) => `  ${what.padEnd(width)} ${money(usd)}  ${how}`),
    `  ${'total'.padEnd(width)} ${money(cost.totalUsd)}  $${((cost.totalUsd / requestsPerMonth) * 1000).toFixed(4)} per 1,000 requests`,
    `  A request takes ${cost.requestSeconds.toFixed(1)} s at ${rates.prefill.toFixed(0)} tokens/s prefill and ${rates.decode.toFixed(0)} decode${rates.measured ? '' : ', rates that are assumed: measure yours (npm run bench -- edge) and give --prefill and --decode'}.`,
    ...(cost.neededReplicas > 0.7
      ? [
          `  This load keeps ${cost.neededReplicas.toFixed(1)} replicas busy on average: have more than that (edge.replicas), or answers wait and go elsewhere.`,
        ]
      : []),
  ];
}

/** Multiplications for one token, from the shapes of its matrices. */
export function multiplications({ tensors, config }: Manifest): { layers: number; head: number } {
  let layers = 0;
  for (const [name, { shape }] of Object.entries(tensors)) {
    if (name.startsWith('layers.') && shape.length === 2) layers += shape[0]! * shape[1]!;
  }
  return { layers, head: config.vocabSize * config.hiddenSize };
}
