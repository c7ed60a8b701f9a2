/** A `COPY`: from another stage, or from the context where `from` is null. */
export interface Copy {
  from: string | null;
  source: string;
  target: string;
}

/** What an image consists of and does, as far as a Dockerfile says it without running anything. */
export interface Image {
  /** The image that the stages start from. */
  base: string;
  copies: Copy[];
  env: Record<string, string>;
  user: string | null;
  workdir: string;
  command: string[];
}

interface Stage {
  name: string;
  from: string;
  instructions: { keyword: string; rest: string }[];
}

/**
 * Reads the last stage of a Dockerfile together with those that it builds upon. Understands the instructions of ours, in JSON form, and `ARG` defaults.
 * @param args values of build arguments
 * @throws Error for an instruction that it does not understand, `RUN` in these stages included
 */
export function readImage(text: string, args: Record<string, string> = {}): Image {
  const stages = readStages(text);
  const last = stages.at(-1);
  if (!last) throw new Error('The Dockerfile has no FROM.');
  const chain: Stage[] = [];
  let base = last.name;
  for (let stage: Stage | undefined = last; stage; stage = stages.find(({ name }) => name === base)) {
    chain.unshift(stage);
    base = stage.from;
  }
  const image: Image = { base, copies: [], env: {}, user: null, workdir: '/', command: [] };
  const values: Record<string, string> = {};
  for (const { keyword, rest } of chain.flatMap(({ instructions }) => instructions)) {
    apply(
      image,
      values,
      args,
      keyword,
      rest.replace(/\$\{(\w+)\}/g, (_, name: string) => values[name] ?? ''),
    );
  }
  return image;
}

function apply(image: Image, values: Record<string, string>, args: Record<string, string>, keyword: string, rest: string): void {
  if (keyword === 'COPY') {
    const [, from = null, source, target] = /^(?:--from=(\S+) )?(\S+) (\S+)$/.exec(rest)!;
    image.copies.push({ from, source: source!, target: target! });
  } else if (keyword === 'ENV') {
    for (const [, name, value] of rest.matchAll(/(\w+)=(\S+)/g)) image.env[name!] = value!;
  } else if (keyword === 'ARG') {
    const [name, fallback = ''] = rest.split('=');
    values[name!] = args[name!] ?? fallback;
  } else if (keyword === 'USER') image.user = rest;
  else if (keyword === 'WORKDIR') image.workdir = rest;
  else if (keyword === 'CMD') image.command = JSON.parse(rest);
  else if (keyword !== 'EXPOSE') throw new Error(`The stages of the image have an instruction that is not understood here: ${keyword}.`);
}

function readStages(text: string): Stage[] {
  const stages: Stage[] = [];
  for (const line of text.replace(/\s*\\\n\s*/g, ' ').split('\n')) {
    const [, keyword, rest] = /^([A-Z]+) +(.*)$/.exec(line.trim()) ?? [];
    if (keyword === 'FROM') {
      const [, from, name] = /^(\S+)(?: AS (\S+))?$/.exec(rest!)!;
      stages.push({ name: name ?? String(stages.length), from: from!, instructions: [] });
    } else if (keyword) stages.at(-1)?.instructions.push({ keyword, rest: rest! });
  }
  return stages;
}
