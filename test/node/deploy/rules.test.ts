import { describe, expect, it } from 'vitest';
import { kubernetesSchemas } from '../../../scripts/deploy-charts/json-schemas.ts';
import { type KubernetesObject, problemsOf } from '../../../scripts/deploy-charts/rules.ts';

const labels = { app: 'edge' };
const container = {
  name: 'edge',
  image: 'nearside:0.1.0',
  resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '2Gi' } },
  securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
  ports: [{ name: 'http', containerPort: 8788 }],
  startupProbe: {},
  livenessProbe: {},
  readinessProbe: {},
};

function deployment(changes: Partial<typeof container> & { env?: object[] } = {}, pod: object = {}, spec: object = {}): KubernetesObject {
  const secure = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };
  const template = {
    metadata: { labels },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 60,
      securityContext: secure,
      containers: [{ ...container, ...changes }],
      ...pod,
    },
  };
  return {
    kind: 'Deployment',
    metadata: { name: 'edge' },
    spec: { selector: { matchLabels: labels }, template, ...spec },
  } as KubernetesObject;
}

const other = (kind: string, spec: object): KubernetesObject => ({ kind, metadata: { name: 'x' }, spec }) as KubernetesObject;

describe('rules for a rendered chart', () => {
  it('has nothing to say of one that keeps them', () => {
    const service = other('Service', { selector: labels, ports: [{ targetPort: 'http' }] });
    const scaler = other('ScaledObject', { scaleTargetRef: { name: 'edge' } });
    expect(problemsOf([deployment(), service, scaler])).toEqual([]);
  });

  it.each([
    ['may run as root', deployment({}, { securityContext: {} })],
    ["is given the cluster's token", deployment({}, { automountServiceAccountToken: true })],
    ['has less than 60 s to drain', deployment({}, { terminationGracePeriodSeconds: 30 })],
    ['has no fixed image in edge', deployment({ image: 'nearside:latest' })],
    ['has no fixed image in edge', deployment({ image: 'registry.example.com:5000/nearside' })],
    ['has no requests and memory limit in edge', deployment({ resources: { ...container.resources, limits: {} as never } })],
    ['has a secret in plain text in NEARSIDE_EDGE_KEY', deployment({ env: [{ name: 'NEARSIDE_EDGE_KEY', value: 'abc' }] })],
    ['has no readinessProbe in edge', deployment({ readinessProbe: undefined as never })],
  ])('says of a Deployment that it %s', (problem, object) => {
    expect(problemsOf([object]).join('\n')).toContain(`Deployment edge ${problem}.`);
  });

  it.each([
    ['selects 0 Deployments and not one', other('NetworkPolicy', { podSelector: { matchLabels: { app: 'edgy' } } })],
    ['leads to the port grpc, which no container has', other('Service', { selector: labels, ports: [{ targetPort: 'grpc' }] })],
    ['scales a Deployment that is not there', other('HorizontalPodAutoscaler', { scaleTargetRef: { name: 'edgy' } })],
  ])('says of what refers to one that it %s', (problem, object) => {
    expect(problemsOf([deployment(), object]).join('\n')).toContain(`x ${problem}.`);
  });

  it('says that a number of replicas and an autoscaler contradict each other', () => {
    const scaler = other('HorizontalPodAutoscaler', { scaleTargetRef: { name: 'edge' } });
    expect(problemsOf([deployment({}, {}, { replicas: 2 }), scaler])).toHaveLength(1);
  });
});

describe("Kubernetes' schemas", () => {
  it('become one strict file per kind, with what it refers to', () => {
    const openApi = {
      definitions: {
        'io.k8s.api.apps.v1.Thing': {
          'x-kubernetes-group-version-kind': [{ group: 'apps', version: 'v1', kind: 'Thing' }],
          properties: { apiVersion: { type: 'string' }, kind: { type: 'string' }, port: { $ref: '#/definitions/x.IntOrString' } },
        },
        'x.IntOrString': { type: 'string', format: 'int-or-string' },
        'x.Unused': { type: 'string' },
      },
    };
    const files = kubernetesSchemas(openApi);
    expect([...files.keys()]).toEqual(['thing-apps-v1.json']);
    const { definitions } = files.get('thing-apps-v1.json')!;
    expect(Object.keys(definitions!)).toEqual(['io.k8s.api.apps.v1.Thing', 'x.IntOrString']);
    expect(definitions!['io.k8s.api.apps.v1.Thing']).toMatchObject({
      additionalProperties: false,
      properties: { apiVersion: { enum: ['apps/v1'] } },
    });
    expect(definitions!['x.IntOrString']).toEqual({ oneOf: [{ type: 'string' }, { type: 'integer' }] });
  });
});
