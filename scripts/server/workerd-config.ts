export interface WorkerdSettings {
  /** Absolute paths of the bundle's modules, the main one first. */
  modules: string[];
  compatibilityDate: string;
  compatibilityFlags: string[];
  /** Names of environment variables that become bindings; their values stay in the environment. */
  variables: string[];
  /** Where to listen, for instance 127.0.0.1:8787 or *:443. */
  address: string;
  /** Absolute paths of PEM files, to serve https. */
  tls: { key: string; cert: string } | null;
}

const text = (value: string) => JSON.stringify(value);
const list = (values: string[]) => `[${values.join(', ')}]`;

/**
 * workerd's configuration for the gateway, to be served with `--import-path=/`. It may call any address, as engines and origins are on private networks; images that are
 * fetched for clients come from public ones only.
 */
export function workerdConfig({ modules, compatibilityDate, compatibilityFlags, variables, address, tls }: WorkerdSettings): string {
  const esModules = modules.map((path) => `(name = ${text(path.split('/').at(-1)!)}, esModule = embed ${text(path)})`);
  const bindings = [
    ...variables.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
    '(name = "ORIGIN_MONITOR", durableObjectNamespace = "OriginMonitor")',
    '(name = "IMAGE_NETWORK", service = "public")',
  ];
  const pem = tls && `privateKey = embed ${text(tls.key)}, certificateChain = embed ${text(tls.cert)}`;
  const protocol = pem === null ? 'http = ()' : `https = (tlsOptions = (keypair = (${pem})))`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  # A large young generation fills with garbage before it is swept: docs/decisions/0011-small-young-generation.md.
  v8Flags = ["--max-semi-space-size=2"],
  services = [
    (name = "gateway", worker = .gateway),
    (name = "network", network = (allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true))),
    (name = "public", network = (allow = ["public"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = ${text(address)}, ${protocol}, service = "gateway")],
);
const gateway :Workerd.Worker = (
  modules = ${list(esModules)},
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = ${list(compatibilityFlags.map(text))},
  bindings = ${list(bindings)},
  globalOutbound = "network",
  durableObjectNamespaces = [(className = "OriginMonitor", uniqueKey = "nearside-origin-monitor")],
  durableObjectStorage = (inMemory = void),
);
`;
}
