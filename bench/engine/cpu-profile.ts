/** V8's sampled CPU profile, as Profiler.stop answers it. */
export interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; lineNumber: number }; children?: number[] }[];
  samples: number[];
  /** Microseconds before each sample. */
  timeDeltas: number[];
}

/** Time spent in a function itself, by the kernel export it was called from. */
export interface SelfTime {
  /** Export of the kernel module, or null outside of it. */
  section: string | null;
  name: string;
  ms: number;
}

/**
 * Self time of each function.
 * @param nameOf readable name of a function: V8 knows those of WebAssembly by number. @param sections kernel exports, by readable name
 */
export function selfTimes(profile: CpuProfile, nameOf: (name: string) => string, sections: Set<string>): SelfTime[] {
  const sectionOf = new Map<number, string | null>();
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const visit = (id: number, inherited: string | null): void => {
    const node = byId.get(id)!;
    const name = shortName(nameOf(node.callFrame.functionName));
    const section = inherited ?? (sections.has(name) ? name : null);
    sectionOf.set(id, section);
    for (const child of node.children ?? []) visit(child, section);
  };
  visit(profile.nodes[0]!.id, null);
  const times = new Map<string, SelfTime>();
  for (const [i, id] of profile.samples.entries()) {
    const section = sectionOf.get(id) ?? null;
    const name = nameOf(byId.get(id)!.callFrame.functionName) || 'anonymous';
    const key = `${section} ${name}`;
    const time = times.get(key) ?? { section, name, ms: 0 };
    time.ms += profile.timeDeltas[i]! / 1000;
    times.set(key, time);
  }
  return [...times.values()].sort((a, b) => b.ms - a.ms);
}

/** The function of AssemblyScript's "wasm/kernel/product/product". */
export const shortName = (name: string): string => name.split('/').at(-1)!;

/** Names of a WebAssembly module's functions by index, from its "name" section; empty without one. */
export function functionNames(bytes: Uint8Array): Map<number, string> {
  const names = new Map<number, string>();
  const text = new TextDecoder();
  let at = 8;
  const number = (): number => {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const string = (): string => {
    const length = number();
    at += length;
    return text.decode(bytes.subarray(at - length, at));
  };
  while (at < bytes.length) {
    const id = bytes[at++];
    const length = number();
    const end = at + length;
    if (id === 0 && string() === 'name') {
      while (at < end) {
        const kind = bytes[at++];
        const next = number() + at;
        // 1: function names.
        if (kind === 1) for (let count = number(); count > 0; count--) names.set(number(), string());
        at = next;
      }
    }
    at = end;
  }
  return names;
}
