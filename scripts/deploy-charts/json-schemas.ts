import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

/** What of OpenAPI and JSON Schema is looked at here. */
export interface Schema {
  type?: string | string[];
  format?: string;
  nullable?: boolean;
  $ref?: string;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  definitions?: Record<string, Schema>;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  required?: string[];
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** JSON schemas by the file name under which kubeconform looks for them: `{{.ResourceKind}}{{.KindSuffix}}.json`. */
export type SchemaFiles = Map<string, Schema>;

/** Kubernetes' own kinds, from the OpenAPI 2 document that its module carries (api/openapi-spec/swagger.json). Strict: unknown fields are refused. */
export function kubernetesSchemas(openApi: { definitions: Record<string, Schema> }): SchemaFiles {
  const files: SchemaFiles = new Map();
  for (const [name, schema] of Object.entries(openApi.definitions)) {
    const kinds = schema['x-kubernetes-group-version-kind'] ?? [];
    // Options and the like belong to every group; a kind that is sent has one.
    if (kinds.length !== 1 || !schema.properties?.kind) continue;
    const [{ group, version, kind }] = kinds as [{ group: string; version: string; kind: string }];
    const definitions = reachable(name, openApi.definitions);
    definitions[name] = {
      ...definitions[name],
      properties: {
        ...definitions[name]!.properties,
        kind: { enum: [kind] },
        apiVersion: { enum: [group ? `${group}/${version}` : version] },
      },
      required: [...(definitions[name]!.required ?? []), 'apiVersion', 'kind'],
    };
    files.set(fileName(group, version, kind), { $ref: `#/definitions/${name}`, definitions });
  }
  return files;
}

/** Kinds that a folder of CustomResourceDefinitions adds. */
export async function customSchemas(folder: string): Promise<SchemaFiles> {
  const files: SchemaFiles = new Map();
  for (const name of (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file))) {
    for (const document of parseAllDocuments(await readFile(join(folder, name), 'utf8'))) {
      const { kind, spec } = (document.toJS() ?? {}) as CustomResourceDefinition;
      if (kind !== 'CustomResourceDefinition') continue;
      for (const version of spec.versions)
        files.set(fileName(spec.group, version.name, spec.names.kind), strict(version.schema.openAPIV3Schema));
    }
  }
  return files;
}

interface CustomResourceDefinition {
  kind: string;
  spec: { group: string; names: { kind: string }; versions: { name: string; schema: { openAPIV3Schema: Schema } }[] };
}

function fileName(group: string, version: string, kind: string): string {
  const suffix = group === '' ? version : `${group.split('.')[0]}-${version}`;
  return `${kind}-${suffix}.json`.toLowerCase();
}

/** The definitions that `name` refers to, directly or not, itself included, made strict. */
function reachable(name: string, all: Record<string, Schema>): Record<string, Schema> {
  const found: Record<string, Schema> = {};
  const open = [name];
  while (open.length > 0) {
    const next = open.pop()!;
    if (found[next]) continue;
    found[next] = knownShapes[next.split('.').at(-1)!] ?? strict(all[next]!);
    for (const reference of JSON.stringify(found[next]).matchAll(/"#\/definitions\/([^"]+)"/g)) open.push(reference[1]!);
  }
  return found;
}

/** Shapes that OpenAPI 2 has no words for. */
const knownShapes: Record<string, Schema> = {
  IntOrString: { oneOf: [{ type: 'string' }, { type: 'integer' }] },
  Quantity: { oneOf: [{ type: 'string' }, { type: 'number' }] },
  // A schema in a schema is nobody's business here.
  JSONSchemaProps: {},
};

/** The same schema, with objects that allow the fields they name and no other. */
function strict(schema: Schema): Schema {
  if (schema['x-kubernetes-int-or-string']) return knownShapes.IntOrString!;
  const { properties, additionalProperties, items, nullable, ...rest } = schema;
  const closed = properties !== undefined && additionalProperties === undefined && !schema['x-kubernetes-preserve-unknown-fields'];
  return {
    ...rest,
    ...(properties && { properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, strict(value)])) }),
    ...(closed && { additionalProperties: false }),
    ...(additionalProperties !== undefined && {
      additionalProperties: typeof additionalProperties === 'object' ? strict(additionalProperties) : additionalProperties,
    }),
    ...(items && { items: strict(items) }),
    ...(nullable && typeof rest.type === 'string' && { type: [rest.type, 'null'] }),
  };
}
