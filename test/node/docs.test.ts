import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** What the code knows by name is in the pages, and what the pages name is in the code. */
const ROOT = join(import.meta.dirname, '../..');

const filesBelow = (folders: string[], name: RegExp): string[] =>
  folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .map((path) => join(folder, path))
      .filter((path) => name.test(path)),
  );
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const product = filesBelow(['worker', 'routes', 'models', 'wasm', 'scripts', 'deploy'], /\.(ts|toml|yaml|tpl|service)$|Dockerfile$/);
const pages = [
  'README.md',
  ...filesBelow(['docs', 'deploy', 'worker', 'models', 'wasm', 'bench'], /\.md$/).filter((path) => !path.includes('/train/')),
];
const code = [...product, 'wrangler.toml'].map(read).join('\n');
const text = pages.map(read).join('\n');
const api = read('docs/api.md');
/** All first groups, each once, in order. */
const named = (where: string, ...patterns: RegExp[]) => [
  ...new Set(patterns.flatMap((pattern) => [...where.matchAll(pattern)].map(([all, one]) => one ?? all)).sort()),
];
const missing = (names: string[], where: string[]) => names.filter((name) => !where.includes(name));

describe('the pages', () => {
  it('name every variable, and none that is not there', () => {
    /** Secrets of endpoints may have any name that begins so; the others are written so in examples. */
    const isExample = (name: string) => /^NEARSIDE_(ORIGIN_KEY_\w+|NAME)$|_$/.test(name);
    const pattern = /\bNEARSIDE_[A-Z0-9_]+/g;
    const [inCode, inPages] = [named(code, pattern), named(text, pattern)].map((names) => names.filter((name) => !isExample(name)));
    expect(missing(inCode!, inPages!)).toEqual([]);
    expect(missing(inPages!, inCode!)).toEqual([]);
  });

  it('name every header of ours, and none that is not there', () => {
    const pattern = /\bx-nearside-[a-z-]+[a-z]/g;
    expect(named(api, pattern)).toEqual(named(code, pattern));
    expect(missing(named(text, pattern), named(code, pattern))).toEqual([]);
  });

  it('name every error code, and none that is not there', () => {
    const codes = named(
      code,
      /(?:ApiError|ImageError|OriginFailure|EdgeFailure)\(\s*(?:'[a-z]+', )?\d{3},\s*'([a-z_]+)'/g,
      /(?:unauthorized|refused)\('([a-z_]+)'/g,
      /\berror\(\d{3}, '([a-z_]+)'/g,
    );
    expect(codes.length).toBeGreaterThan(25);
    const table = api.slice(api.indexOf('| code | status |'), api.indexOf('## Log lines'));
    const rows = named(table.replaceAll(/ \|[^|]*\|$/gm, ''), /`([a-z_]+)`/g);
    expect(missing(codes, rows)).toEqual([]);
    const others = rows.filter((row) => !/_video|video_/.test(row) && !new RegExp(`'${row}'`).test(code));
    expect(others, 'codes of the page that the code does not have').toEqual([]);
  });

  it('name every line of the log, and none that is not there', () => {
    const events = named(code, /\blog\('([a-z_]+)'/g, /event: '([a-z_]+)'/g);
    const table = api.slice(api.indexOf('| event | |'));
    expect(named(table.replaceAll(/^(\|[^|]*\|).*$/gm, '$1'), /`([a-z_]+)`/g)).toEqual(events);
  });

  it('name every npm script, and none that is not there', () => {
    const scripts = Object.keys(JSON.parse(read('package.json')).scripts);
    const inPages = named(text, /npm run (?:-s )?([a-z][\w:-]*)/g);
    expect(missing(inPages, scripts)).toEqual([]);
    expect(missing(scripts, [...inPages, 'test'])).toEqual([]);
  });

  it('link to what is there', () => {
    const broken = pages.flatMap((page) =>
      [...withoutCode(read(page)).matchAll(/\]\(([^)\s:]*?)(?:#([^)]*))?\)/g)].flatMap(([link, path, anchor]) => {
        const target = path ? join(dirname(page), path) : page;
        if (!existsSync(join(ROOT, target))) return [`${page}: ${link}`];
        return anchor === undefined || headings(target).includes(anchor) ? [] : [`${page}: ${link}`];
      }),
    );
    expect(broken).toEqual([]);
  });
});

const withoutCode = (markdown: string) => markdown.replaceAll(/```.*?```/gs, '');

/** A page's headings as links name them. */
const headings = (page: string) =>
  [...withoutCode(read(page)).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-'),
  );
