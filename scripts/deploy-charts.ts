import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { refused } from './deploy-charts/cases.ts';
import { findGo, goModule, goTool } from './deploy-charts/go-tools.ts';
import { customSchemas, kubernetesSchemas, type SchemaFiles } from './deploy-charts/json-schemas.ts';
import { type KubernetesObject, problemsOf } from './deploy-charts/rules.ts';
import { runScript } from './run-script.ts';

const ROOT = join(import.meta.dirname, '..');
const CACHE = join(ROOT, '.cache/deploy-charts');
const CHART = join(ROOT, 'deploy/helm/nearside');
const ORIGIN = join(ROOT, 'deploy/origin/kubernetes');
const COMPOSE = join(ROOT, 'deploy/origin/compose');

const HELM = 'v4.3.1';
const KUBECONFORM = 'v0.8.0';
const COMPOSE_GO = 'v2.16.2';
const KEDA = 'v2.21.0';
const PROMETHEUS_OPERATOR = 'v0.85.0';
/** The newest, and the oldest that the chart says it runs on. */
const KUBERNETES = ['v1.36.3', 'v1.30.14'];
/** Each example is rendered a second time without what can be left out. */
const SWITCHED_OFF = [
  'edge.autoscaling.mode=off',
  'gateway.autoscaling.enabled=false',
  'networkPolicy.enabled=false',
  'podDisruptionBudget.enabled=false',
  'topologySpread.enabled=false',
];

const HELP = `npm run deploy:charts [-- --vllm-stack CHART]

Checks the files of deploy/ with the tools that read them: lints and renders the chart with its examples, checks what comes out against the schemas of
Kubernetes ${KUBERNETES.join(' and ')} and KEDA ${KEDA}, sees that wrong values are refused, and loads the compose files. Needs no cluster.

  --vllm-stack CHART   folder or archive of the vLLM production stack's chart (helm pull vllm/vllm-stack): renders it with deploy/origin/kubernetes, too

helm, kubeconform and the compose loader are built by Go (1.26 or newer; GO names another command), and the schemas taken, from the Go module proxy;
all of it is kept in .cache/deploy-charts. Building takes some minutes once.`;

const execute = promisify(execFile);
let failures = 0;

const options = { 'vllm-stack': { type: 'string' } } as const;

await runScript(HELP, checkAll, { options });

async function checkAll(values: Record<string, string | boolean | undefined>): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const go = findGo();
  const helm = await goTool(go, CACHE, 'helm', 'helm.sh/helm/v4/cmd/helm', HELM);
  const kubeconform = await goTool(go, CACHE, 'kubeconform', 'github.com/yannh/kubeconform/cmd/kubeconform', KUBECONFORM);
  const compose = await goTool(go, CACHE, 'compose-spec', 'github.com/compose-spec/compose-go/v2/cmd', COMPOSE_GO);
  const schemas = await writeSchemas(go);
  const work = await mkdtemp(join(tmpdir(), 'nearside-charts-'));
  try {
    await checkChart(helm, kubeconform, schemas, work);
    await checkRefusals(helm, work);
    await checkCompose(compose);
    await checkTunnel(kubeconform, schemas);
    if (values['vllm-stack']) await checkPool(helm, kubeconform, schemas, work, String(values['vllm-stack']));
    else console.log('skip deploy/origin/kubernetes/values.yaml: rendered only with --vllm-stack CHART');
  } finally {
    await rm(work, { recursive: true });
  }
  if (failures > 0) throw new Error(`${failures} of the checks failed.`);
}

/** Runs one check: it throws what is wrong. */
async function check(name: string, run: () => Promise<string>): Promise<void> {
  try {
    console.log(`ok   ${name}: ${await run()}`);
  } catch (error) {
    failures++;
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    console.log(`FAIL ${name}\n${`${stdout}${stderr}`.trim() || (error as Error).message}`);
  }
}

/** Each example is linted, rendered and held against the schemas of every Kubernetes. */
async function checkChart(helm: string, kubeconform: string, schemas: Map<string, string>, work: string): Promise<void> {
  const renderings = [...KUBERNETES.map((version) => ({ version, set: [] as string[] })), { version: KUBERNETES[0]!, set: SWITCHED_OFF }];
  for (const example of (await readdir(join(CHART, 'examples'))).sort()) {
    const file = join(CHART, 'examples', example);
    await check(relative(ROOT, file), async () => {
      let count = 0;
      await execute(helm, ['lint', CHART, '--strict', '--values', file]);
      for (const { version, set } of renderings) {
        const rendered = await render(helm, 'nearside', CHART, [file], version, set);
        const problems = problemsOf(rendered.objects);
        if (problems.length > 0) throw new Error(problems.join('\n'));
        await writeFile(join(work, example), rendered.text);
        await conform(kubeconform, schemas.get(version)!, join(work, example));
        count ||= rendered.objects.length;
      }
      return `${count} objects`;
    });
  }
}

async function checkRefusals(helm: string, work: string): Promise<void> {
  for (const { why, values, says } of refused) {
    await check(`refused: ${why}`, async () => {
      const file = join(work, 'refused.json');
      await writeFile(file, JSON.stringify(values));
      const said = await execute(helm, ['template', 'nearside', CHART, '--values', file]).then(
        () => null,
        (error: { stderr: string }) => error.stderr,
      );
      if (said === null) throw new Error('The chart takes it.');
      if (!says.test(said)) throw new Error(`The chart refuses it, but does not say ${says}: ${said}`);
      return 'in plain words';
    });
  }
}

/** The compose file, and with its overlay. */
async function checkCompose(compose: string): Promise<void> {
  for (const files of [['compose.yaml'], ['compose.yaml', 'compose.mtls.yaml']]) {
    await check(`deploy/origin/compose: ${files.join(' + ')}`, async () => {
      const { stdout } = await execute(compose, ['-format', 'json', ...files.map((file) => join(COMPOSE, file))]);
      return `${Object.keys((JSON.parse(stdout) as { services: object }).services).length} services`;
    });
  }
}

async function checkTunnel(kubeconform: string, schemas: Map<string, string>): Promise<void> {
  const file = join(ORIGIN, 'tunnel.yaml');
  await check(relative(ROOT, file), async () => {
    const objects = objectsOf(await readFile(file, 'utf8'));
    const problems = problemsOf(objects);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    for (const version of KUBERNETES) await conform(kubeconform, schemas.get(version)!, file);
    return `${objects.length} objects`;
  });
}

/** The pool's values are for somebody else's chart: rendered where that chart is at hand. */
async function checkPool(helm: string, kubeconform: string, schemas: Map<string, string>, work: string, chart: string): Promise<void> {
  const version = KUBERNETES[0]!;
  for (const set of [[], ['servingEngineSpec.modelSpec[0].keda.minReplicaCount=0']]) {
    await check(['deploy/origin/kubernetes/values.yaml', ...set].join(' '), async () => {
      const { text, objects } = await render(helm, 'origin', chart, [join(ORIGIN, 'values.yaml')], version, set);
      await writeFile(join(work, 'origin.yaml'), text);
      // The chart's own Secret is empty, `data: null`: Kubernetes takes that, its schema does not.
      await conform(kubeconform, schemas.get(version)!, join(work, 'origin.yaml'), ['-skip', 'Secret']);
      return `${objects.length} objects`;
    });
  }
}

async function render(helm: string, release: string, chart: string, values: string[], kubernetes: string, set: string[] = []) {
  const settings = [...values.flatMap((file) => ['--values', file]), ...set.flatMap((setting) => ['--set', setting])];
  const args = ['template', release, chart, '--namespace', release, '--kube-version', kubernetes, ...settings];
  const { stdout: text } = await execute(helm, args, { maxBuffer: 1 << 26 });
  return { text, objects: objectsOf(text) };
}

function objectsOf(text: string): KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0];
    return (document.toJS() as KubernetesObject | null) ?? [];
  });
}

async function conform(kubeconform: string, schemas: string, file: string, options: string[] = []): Promise<void> {
  await execute(kubeconform, [
    '-strict',
    '-summary',
    '-schema-location',
    `${schemas}/{{.ResourceKind}}{{.KindSuffix}}.json`,
    ...options,
    file,
  ]);
}

/** Writes the schemas of each Kubernetes, with those of the custom resources. @returns folders by version */
async function writeSchemas(go: string): Promise<Map<string, string>> {
  const folders = new Map<string, string>();
  for (const version of KUBERNETES) {
    const folder = join(CACHE, `schemas-${version}-keda-${KEDA}-${PROMETHEUS_OPERATOR}`);
    folders.set(version, folder);
    if (await readdir(folder).catch(() => null)) continue;
    const kubernetes = join(await goModule(go, 'k8s.io/kubernetes', version), 'api/openapi-spec/swagger.json');
    const keda = join(await goModule(go, 'github.com/kedacore/keda/v2', KEDA), 'config/crd/bases');
    const prometheus = await goModule(go, 'github.com/prometheus-operator/prometheus-operator', PROMETHEUS_OPERATOR);
    const sources: SchemaFiles[] = [
      kubernetesSchemas(JSON.parse(await readFile(kubernetes, 'utf8'))),
      await customSchemas(keda),
      await customSchemas(join(prometheus, 'example/prometheus-operator-crd')),
    ];
    await mkdir(folder, { recursive: true });
    for (const [name, schema] of sources.flatMap((files) => [...files])) await writeFile(join(folder, name), JSON.stringify(schema));
  }
  return folders;
}
