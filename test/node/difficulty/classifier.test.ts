import { describe, expect, it } from 'vitest';
import { createClassifier, type Runtime } from '../../../worker/difficulty/classifier.ts';

class Tensor {
  readonly type: string;
  readonly data: ArrayLike<number>;
  constructor(type: string, data: ArrayLike<number>) {
    this.type = type;
    this.data = data;
  }
}

/** A runtime whose every model answers `output`. */
function runtime(output: Tensor, inputNames = ['ids', 'dense'], outputNames = ['probabilities']): Runtime {
  const session = { inputNames, outputNames, run: async () => ({ probabilities: output }) };
  return { Tensor, InferenceSession: { create: async () => session } } as unknown as Runtime;
}

const good = runtime(new Tensor('float32', [0.25, 0.125]));
const model = async () => new Uint8Array();

function classifier(loadRuntime: () => Promise<Runtime>, loadModel = model) {
  const clock = { now: 1000 };
  const failures: string[] = [];
  const difficulty = createClassifier({ loadModel, loadRuntime, onFailure: (message) => failures.push(message), now: () => clock.now });
  return { difficulty, clock, failures };
}

it('reads both probabilities', async () => {
  const { difficulty } = classifier(async () => good);
  expect(await difficulty.predict('Hi')).toEqual({ weakFails: 0.25, strongHelps: 0.125 });
});

it('loads nothing before the first prompt, and once after it', async () => {
  let loads = 0;
  const { difficulty } = classifier(async () => {
    loads++;
    return good;
  });
  expect(loads).toBe(0);
  await difficulty.predict('one');
  await difficulty.predict('two');
  expect(loads).toBe(1);
});

describe('does without an answer', () => {
  it('when the model cannot be loaded, says so once, and tries again a minute later', async () => {
    let broken = true;
    const { difficulty, clock, failures } = classifier(
      async () => good,
      async () => {
        if (broken) throw new Error('no such asset');
        return new Uint8Array();
      },
    );
    expect(await difficulty.predict('Hi')).toBeNull();
    expect(await difficulty.predict('Hi')).toBeNull();
    expect(failures).toEqual(['The difficulty model is not used for now: no such asset']);
    broken = false;
    clock.now += 59_000;
    expect(await difficulty.predict('Hi')).toBeNull();
    clock.now += 1000;
    expect(await difficulty.predict('Hi')).not.toBeNull();
  });

  it('while another request loads it, and takes over when that request never comes back', async () => {
    let attempts = 0;
    const { difficulty, clock, failures } = classifier(() => (attempts++ === 0 ? new Promise(() => {}) : Promise.resolve(good)));
    void difficulty.predict('cancelled');
    expect(await difficulty.predict('Hi')).toBeNull();
    clock.now += 10_000;
    expect(await difficulty.predict('Hi')).not.toBeNull();
    expect(failures).toEqual([]);
  });

  it.each([
    ['takes other inputs', runtime(new Tensor('float32', [0.1, 0.1]), ['text']), 'it takes (text) and gives (probabilities), but must'],
    ['gives other outputs', runtime(new Tensor('float32', [0.1, 0.1]), undefined, ['logits']), 'gives (logits), but must'],
    ['gives logits', runtime(new Tensor('float32', [-3, 0.1])), 'values from 0 to 1'],
    ['gives NaN', runtime(new Tensor('float32', [Number.NaN, 0.1])), 'values from 0 to 1'],
    ['gives one value', runtime(new Tensor('float32', [0.5])), 'float32 [1, 2]'],
    ['gives integers', runtime(new Tensor('int64', [1, 0])), 'float32 [1, 2]'],
  ])('when a model %s', async (_, broken, message) => {
    const { difficulty, failures } = classifier(async () => broken);
    expect(await difficulty.predict('Hi')).toBeNull();
    expect(failures).toHaveLength(1);
    expect(failures[0]).toContain(message);
  });
});
