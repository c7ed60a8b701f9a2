import { describe, expect, it } from 'vitest';
import { calibrationSchema, readCalibration } from '../../../models/capability/calibration.ts';
import { calibrate, judgeBy } from '../../../models/capability/fit/index.ts';
import { isotonicCurve } from '../../../models/capability/fit/isotonic.ts';
import type { Labelled } from '../../../models/capability/fit/labels.ts';
import { fitLogistic } from '../../../models/capability/fit/logistic.ts';
import { auc, brier, ece, measure } from '../../../models/capability/fit/metrics.ts';
import { mulberry32 } from '../../../models/capability/fit/random.ts';
import { goodAnswer, onCurve } from '../../../models/capability/score.ts';

const unknown = { weights: { intercept: 0 }, curve: [] };
const options = { model: 'edge', labels: 'test', before: unknown, target: 0.9, declines: [] };
const text = { questions: 0, code: 0, mathematics: 0, askedWords: null, script: 'Latin', language: 'en' };

/** Rows whose chance of being good is known: by kind, and less with every constraint. */
const truth = (kind: string, constraints: number): number =>
  1 / (1 + Math.exp(-(kind === 'classify' ? 2 : -1) + 0.8 * Math.log2(1 + constraints)));

function makeRows(count: number, seed = 7): Labelled[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => {
    const kind = random() < 0.5 ? 'classify' : 'open';
    const constraints = Math.floor(random() * 4);
    const good = random() < truth(kind, constraints) ? 1 : 0;
    const judged = {
      promptBytes: 0,
      promptTokens: null,
      estimatedTokens: 64,
      maxTokens: null,
      kind,
      text: { ...text, turns: 1, constraints },
      difficulty: null,
    };
    return { judged: judged as Labelled['judged'], good, tokens: null, answer: null, fold: Math.floor(random() * 5) };
  });
}

describe('a calibration', () => {
  it('finds the chances that labels were made with', () => {
    const { calibration, before, after } = calibrate(makeRows(3000), options);
    for (const kind of ['classify', 'open'])
      for (const constraints of [0, 1, 3]) {
        const [row] = makeRows(1);
        const judged = { ...row!.judged, kind, text: { ...row!.judged.text!, constraints } };
        expect(Math.abs(goodAnswer(judged, calibration) - truth(kind, constraints))).toBeLessThan(0.07);
      }
    expect(after.ece.value).toBeLessThan(0.03);
    expect(after.brier.value).toBeLessThan(before.brier.value);
    expect(before.auc.value).toBe(0.5);
    expect(judgeBy(makeRows(3000, 8), calibration).ece.value).toBeLessThan(0.03);
    expect(calibrationSchema.parse(JSON.parse(JSON.stringify(calibration)))).toEqual(calibration);
  });

  it('promises nothing where labels are noise', () => {
    const random = mulberry32(3);
    const noise = makeRows(1000).map((row) => ({ ...row, good: (random() < 0.5 ? 1 : 0) as 0 | 1 }));
    const { after } = calibrate(noise, options);
    expect(after.auc.low).toBeLessThan(0.5);
    expect(after.auc.high).toBeGreaterThan(0.5 - 0.02);
    expect(after.auc.high).toBeLessThan(0.6);
  });

  it('is the same on every run, in whatever order the rows come', () => {
    const rows = makeRows(600);
    const first = calibrate(rows, options);
    expect(calibrate(rows, options)).toEqual(first);
    expect(calibrate(rows.toReversed(), options)).toEqual(first);
  });

  it('is refused with too few labels, and says how many it needs', () => {
    const one = /at least 200 labels, 50 of them good and 50 not; here are/;
    expect(() => calibrate(makeRows(199), options)).toThrow(one);
    expect(() =>
      calibrate(
        makeRows(600).map((row) => ({ ...row, good: 1 })),
        options,
      ),
    ).toThrow('here are 600, 600 good and 0 not');
  });
});

describe('the confidence gate', () => {
  /** Sure answers are good nine times of ten, unsure ones three times. The second token tells, the mean is blurred by the others. */
  const answers = (count: number, margins = true): Labelled[] => {
    const random = mulberry32(11);
    return makeRows(count).map((row) => {
      const sure = random() < 0.6;
      const logprobs = Array.from({ length: 10 }, (_, i) => (i === 1 ? (sure ? -0.2 : -2) - random() : -0.01 - 0.1 * random()));
      const tokens = logprobs.map((logprob) => ({ logprob, margin: margins ? 1 : null }));
      return { ...row, good: random() < (sure ? 0.9 : 0.3) ? 1 : 0, tokens, answer: 'Paris' };
    });
  };
  const gateFor = (target: number, rows = answers(900), declines: string[] = []) => calibrate(rows, { ...options, target, declines });

  it('lets the sure answers pass and keeps what it promises', () => {
    const { gate } = gateFor(0.85).calibration;
    expect(gate).toMatchObject({ statistic: 'quantile', quantile: 0, target: 0.85 });
    expect(gate!.accepted).toBeGreaterThan(0.5);
    expect(gate!.accepted).toBeLessThan(0.75);
    expect(gate!.precision).toBeGreaterThan(0.84);
    expect(gate!.threshold).toBeLessThan(-0.5);
    expect(gate!.threshold).toBeGreaterThan(-2.5);
  });

  it('lets all pass where that is good enough, and none where nothing is', () => {
    expect(gateFor(0.5).calibration.gate!.accepted).toBeGreaterThan(0.95);
    expect(gateFor(0.999).calibration.gate).toBe(null);
  });

  it('does without margins, and is not there without log-probabilities', () => {
    expect(gateFor(0.85, answers(900, false)).calibration.gate!.statistic).toBe('quantile');
    expect(gateFor(0.85, makeRows(600))).toMatchObject({ gate: null, calibration: { gate: null } });
  });

  it('judges answers apart from those that decline', () => {
    const rows = answers(900).map((row, i): Labelled => (i % 3 === 0 ? { ...row, answer: "Sorry, I can't.", good: 0 } : row));
    const { gate, calibration } = gateFor(0.85, rows, ["Sorry, I can't"]);
    expect(gate).toMatchObject({ declined: 300, answers: 600 });
    expect(calibration.gate!.declines).toEqual(["Sorry, I can't"]);
    expect(calibration.gate!.precision).toBeGreaterThan(0.84);
    expect(calibration.gate!.accepted).toBeLessThan(0.5);
  });
});

describe('logistic regression', () => {
  it('finds the weights', () => {
    const random = mulberry32(5);
    const rows = Array.from({ length: 8000 }, () => [1, random() * 4 - 2, random() < 0.5 ? 1 : 0]);
    const good = rows.map(([, x, z]) => (random() < 1 / (1 + Math.exp(-(0.5 - 1.5 * x! + z!))) ? 1 : 0));
    const weights = fitLogistic(rows, good, 1);
    for (const [i, weight] of [0.5, -1.5, 1].entries()) expect(Math.abs(weights[i]! - weight)).toBeLessThan(0.08);
  });

  it('stays finite where a line parts the labels, and where columns say the same', () => {
    const weights = fitLogistic(
      [
        [1, -1, -1],
        [1, -2, -2],
        [1, 1, 1],
        [1, 2, 2],
      ],
      [0, 0, 1, 1],
      1,
    );
    expect(weights.every(Number.isFinite)).toBe(true);
    expect(weights[1]).toBeCloseTo(weights[2]!, 9);
    expect(weights[1]).toBeGreaterThan(0);
  });
});

describe('the reliability curve', () => {
  it('follows the labels, and never falls where chance makes them', () => {
    const random = mulberry32(2);
    const forecasts = Array.from({ length: 2000 }, () => {
      const predicted = random();
      return { predicted, good: (random() < predicted ** 2 ? 1 : 0) as 0 | 1 };
    });
    const curve = isotonicCurve(forecasts);
    expect(curve.every(([x, y], i) => i === 0 || (x >= curve[i - 1]![0] && y >= curve[i - 1]![1]))).toBe(true);
    for (const x of [0.2, 0.5, 0.8]) expect(Math.abs(onCurve(curve, x) - x ** 2)).toBeLessThan(0.07);
  });

  it('never promises certainty', () => {
    const curve = isotonicCurve(Array.from({ length: 400 }, (_, i) => ({ predicted: i / 400, good: i < 200 ? 0 : 1 })));
    expect(curve[0]![1]).toBeGreaterThan(0);
    expect(curve.at(-1)![1]).toBeLessThan(1);
  });
});

describe('measures', () => {
  it('are those of textbooks', () => {
    const forecasts = [
      { predicted: 0.1, good: 0 },
      { predicted: 0.4, good: 0 },
      { predicted: 0.35, good: 1 },
      { predicted: 0.8, good: 1 },
    ] as const;
    expect(auc(forecasts)).toBe(0.75);
    expect(
      auc([
        { predicted: 0.5, good: 0 },
        { predicted: 0.5, good: 1 },
      ]),
    ).toBe(0.5);
    expect(brier(forecasts)).toBeCloseTo((0.01 + 0.16 + 0.4225 + 0.04) / 4, 12);
    expect(ece(Array.from({ length: 100 }, (_, i) => ({ predicted: 0.7, good: i % 10 < 7 ? 1 : 0 })))).toBeCloseTo(0, 12);
    expect(ece(Array.from({ length: 100 }, () => ({ predicted: 0.7, good: 0 })))).toBeCloseTo(0.7, 12);
  });

  it('come with an interval that holds them and does not change', () => {
    const random = mulberry32(4);
    const forecasts = Array.from({ length: 300 }, () => ({ predicted: random(), good: (random() < 0.5 ? 1 : 0) as 0 | 1 }));
    const figure = measure(forecasts).auc;
    expect(figure.low).toBeLessThan(figure.value);
    expect(figure.high).toBeGreaterThan(figure.value);
    expect(measure(forecasts).auc).toEqual(figure);
  });
});

it('a calibration from elsewhere is read only if it is one', () => {
  const { calibration } = calibrate(makeRows(600), options);
  expect(readCalibration(calibration)).toEqual(calibration);
  for (const wrong of [
    null,
    'yes',
    { ...calibration, version: 2 },
    { ...calibration, weights: { intercept: 1e9 } },
    { ...calibration, weights: { intercept: null } },
    {
      ...calibration,
      curve: [
        [0.2, 0.9],
        [0.5, 0.1],
      ],
    },
    { ...calibration, curve: [[0.2, 1.9]] },
    { ...calibration, curve: Array.from({ length: 1000 }, () => [0.5, 0.5]) },
  ])
    expect(readCalibration(wrong)).toBe(null);
});
