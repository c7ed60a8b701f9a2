import { describe, expect, it } from 'vitest';
import { ImageError } from '../../../../worker/origin/images/image-error.ts';
import { checkResolution } from '../../../../worker/origin/images/resolver.ts';
import { parseTarget } from '../../../../worker/origin/images/target.ts';

const problem = (url: string): string => {
  try {
    return `allowed: ${parseTarget(url).href}`;
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    expect([error.status, error.code]).toEqual([400, 'invalid_image_url']);
    return error.message;
  }
};

const closedAddresses = [
  '0.0.0.0',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.100.100.200',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.0.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::ffff:0:127.0.0.1',
  '64:ff9b::10.0.0.1',
  '64:ff9b:1::10.0.0.1',
  '100::1',
  '2001::1',
  '2001:0:5ef5:79fb::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  '2002:a00:1::',
  '3fff::1',
  '4000::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fec0::1',
  'ff02::1',
];
const openAddresses = [
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.0.1',
  '172.32.0.1',
  '192.167.0.1',
  '223.255.255.255',
  '2606:4700::1111',
  '2001:4860:4860::8888',
  '2a00:1450::1',
];
const asUrl = (address: string) => `https://${address.includes(':') ? `[${address}]` : address}/a.png`;

describe('an address that images may come from', () => {
  it.each([
    'https://example.com/a.png',
    'https://example.com:443/',
    'HTTPS://Example.COM/a b.png?x=1#y',
    'https://example.com./',
    'https://xn--bcher-kva.example.com',
    'https://localhost.example.com/',
    'https://home.example.com',
    ...openAddresses.map(asUrl),
  ])('is %s', (url) => expect(problem(url)).toMatch(/^allowed/));

  it.each(closedAddresses.map(asUrl))('is not %s', (url) =>
    expect(problem(url)).toBe('has an address that is not on the public internet.'),
  );

  it.each([
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.1/',
    'https://0177.0.0.1/',
    'https://127.1/',
    'https://127.0.0.1./',
    'https://１２７.0.0.1/',
    'https://%31%32%37.0.0.1/',
    'https://[::ffff:7f00:1]/',
    'https://[0:0:0:0:0:ffff:a9fe:a9fe]/',
    'https://[::FFFF:169.254.169.254]/',
    'https://169。254。169。254/',
    'https://2852039166/latest/meta-data',
    'https://127.0.0.1../',
    'https://localhost../',
    'https://.example.com/',
    'https://example..com/',
  ])('is not %s, in disguise', (url) => expect(problem(url)).toBe('has an address that is not on the public internet.'));

  it.each([
    'localhost',
    'LOCALHOST.',
    'gpu-1',
    'a.localhost',
    'metadata.google.internal',
    'metadata.google.internal.',
    'printer.local',
    'nas.home.arpa',
    'x.svc.cluster.local',
    'router.lan',
    'kubernetes.default.svc',
    'vault.service.consul',
  ])('is not the name %s', (name) => expect(problem(`https://${name}/`)).toBe('has an address that is not on the public internet.'));

  it.each([
    'http://example.com/a.png',
    'file:///etc/passwd',
    'ftp://example.com/a.png',
    'blob:https://example.com/1',
    '/a.png',
    '//example.com/a.png',
    'https://',
    '',
    'javascript:1',
  ])('is not "%s"', (url) => expect(problem(url)).toBe('must be an https or data URL.'));

  it('has nothing that other parsers read in another way', () => {
    expect(problem('https://example.com\\@169.254.169.254/')).toMatch(/backslash/);
    expect(problem('https://example.com\t/')).toMatch(/control character/);
  });

  it('has no credentials, no port and an end', () => {
    expect(problem('https://user@example.com/')).toMatch(/user name or password/);
    expect(problem('https://example.com@127.0.0.1/')).toMatch(/user name or password/);
    expect(problem('https://example.com:8443/')).toMatch(/port/);
    expect(problem('https://example.com:80/')).toMatch(/port/);
    expect(problem(`https://example.com/${'a'.repeat(9000)}`)).toMatch(/8192 characters/);
  });

  it('may be relative to another in a redirect, and is checked all the same', () => {
    const base = new URL('https://example.com/a/b.png');
    expect(parseTarget('../c.png', base).href).toBe('https://example.com/c.png');
    expect(parseTarget('//other.example.com/c.png', base).href).toBe('https://other.example.com/c.png');
    expect(() => parseTarget('//127.0.0.1/', base)).toThrow(ImageError);
    expect(() => parseTarget('http://example.com/', base)).toThrow(ImageError);
  });
});

describe('what a name resolves to', () => {
  const signal = new AbortController().signal;
  const check = (url: string, addresses: string[] | Error) =>
    checkResolution(
      new URL(url),
      async () => {
        if (addresses instanceof Error) throw addresses;
        return addresses;
      },
      signal,
    ).then(
      () => 'allowed',
      (error) => error.message,
    );

  it.each(openAddresses)('may be %s', async (address) => expect(await check('https://a.example.com', [address])).toBe('allowed'));
  it.each(closedAddresses)('may not be %s, not even among others', async (address) => {
    expect(await check('https://a.example.com', ['1.1.1.1', address])).toBe('has an address that is not on the public internet.');
  });

  it('must be known', async () => {
    expect(await check('https://a.example.com', [])).toMatch(/no such name/);
    expect(await check('https://a.example.com', new Error('no answer'))).toMatch(/cannot be resolved/);
    expect(await check('https://a.example.com', ['what is this:'])).toMatch(/cannot be resolved/);
    expect(await check('https://a.example.com', ['a.name.instead'])).toMatch(/not on the public internet/);
  });
});
