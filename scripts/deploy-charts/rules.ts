/** A Kubernetes object as far as the rules look at it; that its fields are of the right types, its schema has said before. */
export interface KubernetesObject {
  kind: string;
  metadata: { name: string };
  spec?: {
    replicas?: number;
    selector?: { matchLabels?: Labels } & Labels;
    podSelector?: { matchLabels?: Labels };
    scaleTargetRef?: { name: string };
    ports?: { targetPort?: string | number }[];
    template?: { metadata: { labels: Labels }; spec: PodSpec };
  };
}

type Labels = Record<string, unknown>;

interface PodSpec {
  automountServiceAccountToken?: boolean;
  securityContext?: { runAsNonRoot?: boolean; seccompProfile?: { type: string } };
  terminationGracePeriodSeconds?: number;
  containers: Container[];
  initContainers?: Container[];
}

interface Container {
  name: string;
  image: string;
  resources?: { requests?: Labels; limits?: Labels };
  securityContext?: { allowPrivilegeEscalation?: boolean; readOnlyRootFilesystem?: boolean; capabilities?: { drop?: string[] } };
  env?: { name: string; value?: string }[];
  envFrom?: { configMapRef?: { name: string } }[];
  ports?: { name: string; containerPort: number }[];
  startupProbe?: object;
  livenessProbe?: object;
  readinessProbe?: object;
}

/**
 * What is wrong with a rendered chart that its schemas allow: references that lead nowhere, and pods with more rights than they need.
 * @returns one sentence each, none when all is well
 */
export function problemsOf(objects: KubernetesObject[]): string[] {
  return objects.flatMap((object) =>
    [...podProblems(object, objects), ...referenceProblems(object, objects)].map((what) => `${label(object)} ${what}.`),
  );
}

const label = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.name}`;

function podProblems({ spec }: KubernetesObject, objects: KubernetesObject[]): string[] {
  const pod = spec?.template?.spec;
  if (!pod) return [];
  const problems: string[] = [];
  if (pod.securityContext?.runAsNonRoot !== true) problems.push('may run as root');
  if (pod.securityContext?.seccompProfile?.type !== 'RuntimeDefault') problems.push('has no seccomp profile');
  if (pod.automountServiceAccountToken !== false) problems.push("is given the cluster's token");
  if ((pod.terminationGracePeriodSeconds ?? 30) < 60) problems.push('has less than 60 s to drain');
  for (const container of pod.containers) {
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
      if (!container[probe]) problems.push(`has no ${probe} in ${container.name}`);
    }
  }
  const containers = [...(pod.initContainers ?? []), ...pod.containers];
  return [...problems, ...containers.flatMap((container) => containerProblems(container, objects))];
}

function containerProblems({ name, image, resources, securityContext, env, envFrom }: Container, objects: KubernetesObject[]): string[] {
  const problems: string[] = [];
  if (!/(@sha256:|:(?!latest$))[^/]+$/.test(image)) problems.push(`has no fixed image in ${name}`);
  if (!resources?.requests?.cpu || !resources.requests.memory || !resources.limits?.memory)
    problems.push(`has no requests and memory limit in ${name}`);
  if (securityContext?.allowPrivilegeEscalation !== false) problems.push(`may gain privileges in ${name}`);
  if (securityContext?.readOnlyRootFilesystem !== true) problems.push(`may write to the image in ${name}`);
  if (!securityContext?.capabilities?.drop?.includes('ALL')) problems.push(`keeps capabilities in ${name}`);
  for (const { name: variable, value } of env ?? []) {
    if (/KEY|TOKEN|SECRET/.test(variable) && value !== undefined) problems.push(`has a secret in plain text in ${variable}`);
  }
  for (const { configMapRef } of envFrom ?? []) {
    if (configMapRef && !objects.some((one) => one.kind === 'ConfigMap' && one.metadata.name === configMapRef.name))
      problems.push(`reads the ConfigMap ${configMapRef.name}, which is not there`);
  }
  return problems;
}

function referenceProblems({ kind, spec }: KubernetesObject, objects: KubernetesObject[]): string[] {
  const deployments = objects.filter((one) => one.kind === 'Deployment');
  if (kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject') {
    const target = deployments.find((one) => one.metadata.name === spec?.scaleTargetRef?.name);
    if (!target) return ['scales a Deployment that is not there'];
    return target.spec?.replicas === undefined ? [] : ['scales a Deployment that has a number of replicas of its own'];
  }
  const selector = selectorOf(kind, spec);
  if (!selector) return [];
  const selected = deployments.filter((one) => matches(selector, one.spec?.template?.metadata.labels));
  if (selected.length !== 1) return [`selects ${selected.length} Deployments and not one`];
  if (kind !== 'Service') return [];
  const ports = selected[0]!.spec!.template!.spec.containers.flatMap((container) => container.ports ?? []);
  const lost = spec?.ports?.find(({ targetPort }) => !ports.some((port) => port.name === targetPort || port.containerPort === targetPort));
  return lost ? [`leads to the port ${lost.targetPort}, which no container has`] : [];
}

function selectorOf(kind: string, spec: KubernetesObject['spec']): Labels | undefined {
  if (kind === 'Service') return spec?.selector;
  if (kind === 'NetworkPolicy') return spec?.podSelector?.matchLabels;
  return kind === 'PodDisruptionBudget' || kind === 'Deployment' ? spec?.selector?.matchLabels : undefined;
}

const matches = (selector: Labels, labels: Labels = {}): boolean => Object.entries(selector).every(([key, value]) => labels[key] === value);
