import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { refused } from './deploy-charts/cases.ts';
import { findGo, goModule, goTool } from './deploy-charts/go-tools.ts';
import { customSchemas, kubernetesSchemas, type SchemaFiles } from './deploy-charts/json-schemas.ts';
import { type KubernetesObject, problemsOf } from './deploy-charts/rules.ts';
import { runScript } from './python-packages.ts';

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

const HELP = `npm run deploy:charts [-- --vllm-stack CHART]

Checks the files of deploy/ with the tools that read them: lints and renders the chart with its examples, checks what comes out against the schemas of
Kubernetes ${KUBERNETES.join(' and ')} and KEDA ${KEDA}, sees that wrong values are refused, and loads the compose files. Needs no cluster.

  --vllm-stack CHART   folder or archive of the vLLM production stack's chart (helm pull vllm/vllm-stack): renders it with deploy/origin/kubernetes, too

helm, kubeconform and the compose loader are built by Go (1.26 or newer; GO names another command), and the schemas taken, from the Go module proxy;
all of it is kept in .cache/deploy-charts. Building takes some minutes once.`;

const execute = promisify(execFile);
let failures = 0;

await runScript(HELP, async () => {
  const { values } = parseArgs({ options: { 'vllm-stack': { type: 'string' } } });
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
    if (values['vllm-stack']) await checkVllmStack(helm, kubeconform, schemas, work, values['vllm-stack']);
    else console.log('skip deploy/origin/kubernetes: rendered only with --vllm-stack CHART');
  } finally {
    await rm(work, { recursive: true });
  }
  if (failures > 0) throw new Error(`${failures} of the checks failed.`);
});

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
  for (const example of (await readdir(join(CHART, 'examples'))).sort()) {
    const file = join(CHART, 'examples', example);
    await check(relative(ROOT, file), async () => {
      await execute(helm, ['lint', CHART, '--strict', '--values', file]);
      for (const version of KUBERNETES) {
        const rendered = await render(helm, 'nearside', CHART, [file], version);
        const problems = problemsOf(rendered.objects);
        if (problems.length > 0) throw new Error(problems.join('\n'));
        await conform(kubeconform, schemas.get(version)!, rendered.text, join(work, example));
      }
      const { objects } = await render(helm, 'nearside', CHART, [file], KUBERNETES[0]!);
      return `${objects.length} objects`;
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

/** The compose files, each server's profile and the overlay. */
async function checkCompose(compose: string): Promise<void> {
  for (const files of [['compose.yaml'], ['compose.yaml', 'compose.mtls.yaml']]) {
    await check(`deploy/origin/compose: ${files.join(' + ')}`, async () => {
      const paths = files.map((file) => join(COMPOSE, file));
      const { stdout } = await execute(compose, ['-format', 'json', ...paths], { env: { ...process.env, COMPOSE_PROFILES: '*' } });
      return `${Object.keys((JSON.parse(stdout) as { services: object }).services).length} services`;
    });
  }
}

/** The origin's values are for somebody else's chart: rendered where that chart is at hand. */
async function checkVllmStack(helm: string, kubeconform: string, schemas: Map<string, string>, work: string, chart: string): Promise<void> {
  const overlays = (await readdir(ORIGIN)).filter((name) => /^values-.*\.yaml$/.test(name)).sort();
  for (const overlay of [[], ...overlays.map((name) => [name])]) {
    const files = ['values.yaml', ...overlay];
    await check(`deploy/origin/kubernetes: ${files.join(' + ')}`, async () => {
      const paths = files.map((name) => join(ORIGIN, name));
      const { text, objects } = await render(helm, 'origin', chart, paths, KUBERNETES[0]!);
      await conform(kubeconform, schemas.get(KUBERNETES[0]!)!, text, join(work, 'origin.yaml'));
      return `${objects.length} objects`;
    });
  }
}

async function render(helm: string, release: string, chart: string, values: string[], kubernetes: string) {
  const args = [
    'template',
    release,
    chart,
    '--namespace',
    release,
    '--kube-version',
    kubernetes,
    ...values.flatMap((file) => ['--values', file]),
  ];
  const { stdout: text } = await execute(helm, args, { maxBuffer: 1 << 26 });
  const objects = parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0];
    return (document.toJS() as KubernetesObject | null) ?? [];
  });
  return { text, objects };
}

async function conform(kubeconform: string, schemas: string, text: string, file: string): Promise<void> {
  await writeFile(file, text);
  await execute(kubeconform, ['-strict', '-summary', '-schema-location', `${schemas}/{{.ResourceKind}}{{.KindSuffix}}.json`, file]);
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
