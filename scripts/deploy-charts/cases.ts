/** Values that the chart must refuse, with what it must say: a mistake is to be found at `helm install`, not in a pod that does not start. */
export const refused: { why: string; values: object; says: RegExp }[] = [
  { why: 'nothing set', values: {}, says: /set gateway\.secrets\.NEARSIDE_API_KEYS/ },
  { why: 'no key for the engine', values: valid({ edge: { key: { secretName: '' } } }), says: /edge\.key\.secretName is not set/ },
  { why: 'no pack', values: valid({ edge: { pack: { url: '' } } }), says: /edge\.pack must have either url or existingClaim/ },
  {
    why: 'two packs',
    values: valid({ edge: { pack: { existingClaim: 'packs' } } }),
    says: /edge\.pack must have either url or existingClaim/,
  },
  { why: 'a pack over http', values: valid({ edge: { pack: { url: 'http://packs.example.com/x' } } }), says: /\/edge\/pack\/url/ },
  { why: 'nobody to answer', values: valid({ edge: { enabled: false } }), says: /nobody to answer/ },
  { why: 'a misspelt name', values: valid({ edge: { replica: 3 } }), says: /additional properties 'replica' not allowed/ },
  {
    why: 'a number as a setting',
    values: valid({ gateway: { settings: { NEARSIDE_EDGE_MAX_TOKENS: 64 } } }),
    says: /NEARSIDE_EDGE_MAX_TOKENS/,
  },
  { why: 'a setting of another program', values: valid({ gateway: { settings: { PORT: '80' } } }), says: /PORT/ },
  {
    why: 'an origin without its secret',
    values: origin({ secret: 'NEARSIDE_ORIGIN_KEY_A' }),
    says: /set gateway\.secrets\.NEARSIDE_ORIGIN_KEY_A/,
  },
  { why: 'an origin that asks for another secret', values: origin({ secret: 'NEARSIDE_EDGE_KEY' }), says: /\/secret/ },
  { why: 'an origin through a binding', values: origin({ binding: 'ORIGIN_VPC' }), says: /bindings exist on Cloudflare only/ },
  { why: 'an origin without /v1', values: origin({ url: 'https://gpu.example.com' }), says: /\/url/ },
  { why: 'the image "latest"', values: valid({ image: { tag: 'latest' } }), says: /\/image\/tag/ },
  { why: 'root', values: valid({ securityContext: { runAsUser: 0 } }), says: /\/securityContext\/runAsUser/ },
];

interface Values {
  gateway?: object;
  edge?: { pack?: object; key?: object; [other: string]: unknown };
  [other: string]: unknown;
}

function valid({ gateway, edge, ...rest }: Values): object {
  return {
    gateway: { secrets: { NEARSIDE_API_KEYS: { name: 'nearside', key: 'digests' } }, ...gateway },
    edge: { ...edge, pack: { url: 'https://packs.example.com/x', ...edge?.pack }, key: { secretName: 'nearside', ...edge?.key } },
    ...rest,
  };
}

function origin(endpoint: object): object {
  return valid({ gateway: { origins: [{ model: 'm', endpoints: [{ url: 'https://gpu.example.com/v1', ...endpoint }] }] } });
}
