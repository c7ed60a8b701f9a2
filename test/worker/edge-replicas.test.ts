import { describe, expect, it } from 'vitest';
import {
  type ClientPlace,
  chooseReplica,
  distanceMs,
  type Region,
  type Replica,
  regions,
  replicaName,
} from '../../worker/edge/replicas.ts';
import type { EdgeFigures } from '../../worker/routing/figures.ts';

const NOW = 1_000_000;
const from = (continent: string | null, latitude: number | null = null, longitude: number | null = null): ClientPlace => ({
  continent,
  latitude,
  longitude,
});
const cold = (region: Region | null, index = 0): Replica => ({ region, index, figures: null });
const warm = (region: Region | null, index = 0, values: EdgeFigures = {}, age = 1000): Replica => ({
  region,
  index,
  figures: { values: { warm: true, running: 0, queued: 0, slots: 4, serviceMs: 2000, loadMs: 3000, ...values }, asOf: NOW - age },
});
const full = { running: 4, queued: 6 };
const choose = (replicas: Replica[], client: ClientPlace, lastMinute = 0) =>
  replicaName(chooseReplica(replicas, client, { now: NOW, lastMinute }));

describe('chooseReplica', () => {
  it('takes the nearest of equals', () => {
    const everywhere = regions.map((region) => cold(region));
    expect(choose(everywhere, from('EU', 52.5, 13.4))).toBe('default:eeur:0');
    expect(choose(everywhere, from('EU', 48.9, 2.4))).toBe('default:weur:0');
    expect(choose(everywhere, from('NA', 37.8, -122.4))).toBe('default:wnam:0');
    expect(choose(everywhere, from('NA', 40.7, -74))).toBe('default:enam:0');
    expect(choose(everywhere, from('OC'))).toBe('default:oc:0');
    expect(choose(everywhere, from('SA'))).toBe('default:sam:0');
    expect(choose(everywhere, from('AF', -26, 28))).toBe('default:afr:0');
  });

  it('never wakes a replica for a single request while a warm one is free, however near', () => {
    expect(choose([cold('oc'), warm('weur')], from('OC'))).toBe('default:weur:0');
    expect(choose([cold('weur'), warm('weur', 1)], from('EU'))).toBe('default:weur:1');
  });

  it('wakes a replica nearby for steady traffic', () => {
    expect(choose([cold('oc'), warm('weur')], from('OC'), 60)).toBe('default:oc:0');
    // Not for what is next door: from the east of Europe to the west are a few milliseconds.
    expect(choose([cold('eeur'), warm('weur')], from('EU', 51, 20), 60)).toBe('default:weur:0');
  });

  it('adds a replica when the one that is there has a queue, and skips it when that is gone', () => {
    expect(choose([warm('weur', 0, full), cold('weur', 1)], from('EU'), 10)).toBe('default:weur:1');
    expect(choose([warm('weur', 0, { running: 3 }), cold('weur', 1)], from('EU'), 10)).toBe('default:weur:0');
    expect(choose([warm('weur'), warm('weur', 1)], from('EU'), 10)).toBe('default:weur:0');
  });

  it('goes farther rather than wait behind many', () => {
    expect(choose([warm('weur', 0, full), warm('enam')], from('EU'))).toBe('default:enam:0');
    expect(choose([warm('weur', 0, { running: 4, queued: 0, serviceMs: 100 }), warm('oc')], from('EU'))).toBe('default:weur:0');
  });

  it('takes a replica for unloaded that has been silent for a minute, or says so', () => {
    expect(choose([warm('oc', 0, {}, 61_000), warm('weur')], from('OC'))).toBe('default:weur:0');
    expect(choose([warm('oc', 0, { warm: false }), warm('weur')], from('OC'))).toBe('default:weur:0');
  });

  it('knows where nobody says where they are', () => {
    expect(choose([cold('apac'), cold('weur')], from(null))).toBe('default:apac:0');
    expect(choose([cold('apac'), warm('weur')], from('XX'))).toBe('default:weur:0');
    expect(choose([cold('weur')], from('EU', Number.NaN, 3))).toBe('default:weur:0');
  });

  it('calls the one replica of today what it was called', () => {
    expect(choose([cold(null)], from('EU'))).toBe('default:any:0');
    expect(() => choose([], from('EU'))).toThrow('no replica');
  });
});

describe('distanceMs', () => {
  it('is of the size of real round trips', () => {
    expect(distanceMs(from(null, 50.1, 8.7), 'weur')).toBeLessThan(25);
    expect(distanceMs(from(null, 50.1, 8.7), 'enam')).toBeGreaterThan(80);
    expect(distanceMs(from(null, 50.1, 8.7), 'enam')).toBeLessThan(180);
    expect(distanceMs(from(null, 50.1, 8.7), 'oc')).toBeGreaterThan(220);
  });
});
