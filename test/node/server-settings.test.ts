import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGatewayOptions } from '../../scripts/server/gateway-options.ts';
import { parseSettings, readSettings } from '../../scripts/server/settings.ts';
import { workerdConfig } from '../../scripts/server/workerd-config.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe("the gateway's settings", () => {
  const folder = temporaryFolder();

  it('come from the environment, then from the file, then from the list of origins', () => {
    const [settings, origins] = [join(folder, 'settings'), join(folder, 'origins')];
    writeFileSync(settings, 'NEARSIDE_A=file\nNEARSIDE_ORIGINS=[]\n');
    writeFileSync(origins, '[1]');
    const environment = { NEARSIDE_A: 'environment', NEARSIDE_B: 'kept', HOME: '/' };
    expect(readSettings(environment, { settings, origins })).toEqual({ NEARSIDE_A: 'file', NEARSIDE_B: 'kept', NEARSIDE_ORIGINS: '[1]' });
    expect(() => readSettings({}, { settings: join(folder, 'none'), origins: null })).toThrow(/none cannot be read \(ENOENT\)/);
  });

  it('are lines as systemd reads them', () => {
    const text = '# one\n; two\n\n NEARSIDE_A = "a b"\nNEARSIDE_B=\'[{"a": 1}]\'\r\nNEARSIDE_C=x=y\nNEARSIDE_D=\n';
    expect(parseSettings(text, 'f')).toEqual({ NEARSIDE_A: 'a b', NEARSIDE_B: '[{"a": 1}]', NEARSIDE_C: 'x=y', NEARSIDE_D: '' });
  });

  it.each(['hunter2', 'OTHER=1', 'NEARSIDE_lower=1'])('are refused by line, without what is in it: %s', (line) => {
    expect(() => parseSettings(`NEARSIDE_A=1\n${line}`, 'f')).toThrow(
      /^f, line 2: write NEARSIDE_NAME=VALUE, or start a comment with #\.$/,
    );
  });
});

describe("the gateway's options", () => {
  it.each([
    [['--runtime', 'deno'], '--runtime must be workerd or node'],
    [['--tls-cert', 'a'], 'belong together'],
    [['--port', '70000'], '--port must be a whole number'],
    [['--prot', '1'], 'nearside gateway --help'],
  ])('%j are refused', (args, message) => {
    expect(() => readGatewayOptions(args)).toThrow(message);
  });
});

describe("workerd's configuration", () => {
  const base = {
    modules: ['/opt/it/index.js'],
    compatibilityDate: '2026-11-02',
    compatibilityFlags: ['a_flag'],
    variables: ['NEARSIDE_ORIGIN_KEY'],
    address: '*:8787',
    tls: null,
  };

  it('names the settings and has none of their values', () => {
    expect(workerdConfig(base)).toContain('(name = "NEARSIDE_ORIGIN_KEY", fromEnvironment = "NEARSIDE_ORIGIN_KEY")');
  });

  it('fetches images from public addresses alone', () => {
    const text = workerdConfig(base);
    expect(text).toContain('(name = "IMAGE_NETWORK", service = "public")');
    expect(text).toContain('(name = "public", network = (allow = ["public"],');
  });

  it('quotes paths', () => {
    expect(workerdConfig({ ...base, modules: ['/o"dd/index.js'] })).toContain('embed "/o\\"dd/index.js"');
  });
});
