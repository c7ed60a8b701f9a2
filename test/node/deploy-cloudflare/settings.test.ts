import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSettings } from '../../../scripts/deploy/settings.ts';

const MODEL = '[model]\npack = "packs/mine"\n';

describe('nearside.toml', () => {
  it('is the documented example, as it is and with everything that is commented out', () => {
    const example = readFileSync(join(import.meta.dirname, '../../../deploy/cloudflare/nearside.example.toml'), 'utf8');
    const all = example.replace(/^# (?=[a-zA-Z_]+ = )/gm, '');
    expect(all).not.toBe(example);
    expect(parseSettings(example, 'example').secrets).toEqual(['NEARSIDE_API_KEYS', 'NEARSIDE_ORIGIN_KEY']);
    expect(parseSettings(all, 'example').edge).toMatchObject({ sessions: 4, context: 512, budgetBytes: 100e6, replicas: 1 });
  });

  it('has the defaults that the example shows', () => {
    const { edge, model } = parseSettings(MODEL, 'x');
    expect(edge).toEqual({ placement: 'isolate', sessions: 4, queue: 8, context: 512, budgetBytes: 100e6, regions: [], replicas: 1 });
    expect(model.bucket).toBe('nearside-models');
  });

  it.each([
    ['x = ', /no TOML at line 1/],
    ['', /model is not valid/],
    [`${MODEL}colour = "red"`, /no setting model\.colour/],
    [`${MODEL}[edge]\nplacement = "moon"`, /edge\.placement is not valid: it must be one of isolate, pipeline, container/],
    [`${MODEL}[edge]\nregions = ["weur", "weur"]`, /edge\.regions is not valid/],
    [`${MODEL}[edge]\nbudget_mb = 400`, /edge\.budget_mb is not valid: it must be a number of megabytes from 1 to 128/],
    [`${MODEL}[gateway.vars]\nNEARSIDE_DEV = "1"`, /would let everyone call/],
    [`${MODEL}[gateway.vars]\nNEARSIDE_EDGE_REGIONS = "weur"`, /this file's own keys/],
    [`${MODEL}[gateway.vars]\nPATH = "1"`, /no setting of the gateway/],
    [`${MODEL}[[origins]]\nmodel = "m"\nendpoints = [{ url = "gpu" }]`, /pool "m", endpoint 1: url must be/],
  ])('is refused by name: %j', (toml, message) => {
    expect(() => parseSettings(toml, 'nearside.toml')).toThrow(message);
  });

  it('takes no secret, and does not repeat one', () => {
    const given = () => parseSettings(`${MODEL}[gateway.vars]\nNEARSIDE_ORIGIN_KEY = "sk-1"`, 'x');
    expect(given).toThrow(/is a secret/);
    expect(given).not.toThrow(/sk-1/);
  });
});
