import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readImage } from '../../../scripts/container/dockerfile.ts';
import { readEdgeOptions } from '../../../scripts/edge-node/options.ts';
import { readGatewayOptions } from '../../../scripts/server/gateway-options.ts';
import { asleep } from '../../../worker/edge/container/asleep.ts';
import type { EdgeStatus } from '../../../worker/edge/protocol.ts';

const DEPLOY = join(import.meta.dirname, '../../../deploy');
const read = (name: string) => readFileSync(join(DEPLOY, name), 'utf8');
const program = { command: 'nearside edge', models: 'nearside models', port: 8788 };

describe('the image of the edge engine', () => {
  const dockerfile = read('container/Dockerfile');

  it('is small: the program, Node, certificates and the pack, and nothing of the build', () => {
    const { base, copies } = readImage(dockerfile, { PACK: 'packs/mine' });
    expect(base).toMatch(/^debian:\w+-slim$/);
    expect(copies.map(({ target }) => target)).toEqual([
      '/usr/local/bin/node',
      '/etc/ssl/certs/ca-certificates.crt',
      '/opt/nearside',
      '/model',
    ]);
    expect(copies.at(-1)).toMatchObject({ from: null, source: 'packs/mine' });
  });

  it('runs a command that the program understands, as a user without rights', () => {
    const { command, user, env } = readImage(dockerfile);
    expect(user).toBe('10001:10001');
    expect(command.slice(0, 2)).toEqual(['nearside', 'edge']);
    expect(env.PATH).toMatch(/^\/opt\/nearside\/bin:/);
    expect(readEdgeOptions(command.slice(2), program)).toMatchObject({ model: '/model', host: '0.0.0.0', port: 8788 });
  });

  it('has what it is built from in its context', () => {
    const ignored = readFileSync(join(DEPLOY, '../.dockerignore'), 'utf8').split('\n');
    expect(ignored).toContain('*');
    for (const name of ['package.json', 'package-lock.json', 'LICENSE', 'wrangler.toml', 'models', 'routes', 'scripts', 'wasm', 'worker'])
      expect(ignored).toContain(`!${name}`);
  });
});

describe('reading a Dockerfile', () => {
  it('follows the stages that the last one is built upon, and no others', () => {
    const text = `FROM a AS one\nRUN x\nFROM b AS two\nENV A=1\nFROM two AS other\nCOPY o /o\nFROM two AS last\nARG P=q\nCOPY \${P} \\\n  /p\n`;
    expect(readImage(text)).toMatchObject({ base: 'b', env: { A: '1' }, copies: [{ from: null, source: 'q', target: '/p' }] });
  });

  it('refuses what it could only leave out', () => {
    expect(() => readImage('FROM a AS one\nRUN x')).toThrow('RUN');
    expect(() => readImage('')).toThrow('FROM');
  });
});

/** The values of a unit, by section. */
function unit(name: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  let section = '';
  for (const line of read(`systemd/${name}`).split('\n')) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const [, heading] = /^\[(\w+)\]$/.exec(line) ?? [];
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (heading) section = heading;
    else if (key) values.set(`${section}.${key}`, [...(values.get(`${section}.${key}`) ?? []), value!]);
    else throw new Error(`${name} has a line that is none: ${line}`);
  }
  return values;
}

describe('the systemd units', () => {
  it.each(['gateway', 'edge'])('start the %s with options that it understands, and wait longer than it drains', (name) => {
    const service = unit(`nearside-${name}.service`);
    const [path, command, ...args] = service.get('Service.ExecStart')![0]!.split(' ');
    expect([path, command]).toEqual(['/opt/nearside/bin/nearside', name]);
    const options = name === 'edge' ? readEdgeOptions(args, program) : readGatewayOptions(args);
    expect(Number(service.get('Service.TimeoutStopSec')![0])).toBeGreaterThan(options!.drainMs / 1000);
    expect(service.get('Service.KillMode')).toEqual(['mixed']);
  });

  it.each(['gateway', 'edge'])('lock the %s in', (name) => {
    const service = unit(`nearside-${name}.service`);
    for (const key of ['DynamicUser', 'ProtectHome', 'PrivateTmp', 'NoNewPrivileges'])
      expect(service.get(`Service.${key}`)).toEqual(['yes']);
    expect(service.get('Service.ProtectSystem')).toEqual(['strict']);
    expect(service.get('Service.MemoryMax')).toHaveLength(1);
    // V8 needs memory that it both writes and runs.
    expect(service.has('Service.MemoryDenyWriteExecute')).toBe(false);
  });

  it('listen where the gateway would', () => {
    const { port } = readGatewayOptions(unit('nearside-gateway.service').get('Service.ExecStart')![0]!.split(' ').slice(2))!;
    expect(unit('nearside-gateway.socket').get('Socket.ListenStream')).toEqual([String(port)]);
  });
});

describe('a container that sleeps', () => {
  it('is what it was, cold and with nothing to do', () => {
    const figures = { prefill: 10, decode: 5, decodeBatch: null, running: 2, queued: 1, slots: 4, warm: true, loadMs: 900 };
    const awake = { model: 'm', state: 'ready', running: 2, queued: 1, contextLength: 512, figures, memory: {} } as unknown as EdgeStatus;
    expect(asleep(awake)).toMatchObject({ model: 'm', state: 'cold', running: 0, queued: 0, contextLength: 512, memory: null });
    expect(asleep(awake).figures).toEqual({ ...figures, running: 0, queued: 0, warm: false });
  });
});
