import { type Spread, spread } from '../engine/measurement.ts';

/** One figure of one contender, a sample a round. */
export interface Figure {
  contender: string;
  scenario: string;
  metric: string;
  samples: number[];
}

/** All figures of a run. */
export class Figures {
  readonly all: Figure[] = [];

  add(contender: string, scenario: string, metric: string, value: number): void {
    const found = this.#find(contender, scenario, metric);
    if (found) found.samples.push(value);
    else this.all.push({ contender, scenario, metric, samples: [value] });
  }

  /** Median and range over the rounds; null when it was not measured. */
  of(contender: string, scenario: string, metric: string): Spread | null {
    const found = this.#find(contender, scenario, metric);
    return found ? spread(found.samples) : null;
  }

  /** What `contender` has more than `base`, round by round: what the machine does to both in a round falls out. */
  added(contender: string, base: string, scenario: string, metric: string): Spread | null {
    const [more, less] = [this.#find(contender, scenario, metric), this.#find(base, scenario, metric)];
    return more && less ? spread(more.samples.map((value, round) => value - less.samples[round]!)) : null;
  }

  #find(contender: string, scenario: string, metric: string): Figure | undefined {
    return this.all.find((figure) => figure.contender === contender && figure.scenario === scenario && figure.metric === metric);
  }
}
