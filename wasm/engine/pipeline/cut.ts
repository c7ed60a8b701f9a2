/**
 * Cuts 0 .. count - 1 into so many runs that the most expensive one is as cheap as can be. Returns the borders, from 0 to `count`; fewer runs where more would not help.
 * @param cost of the run `first` to `last - 1`; never less for a longer one
 */
export function cutInto(runs: number, count: number, cost: (first: number, last: number) => number): number[] {
  /** best[last]: the cheapest way to cut 0 .. last - 1 into the runs so far. */
  let best = Array.from({ length: count + 1 }, (_, last) => ({
    cost: last === 0 ? 0 : cost(0, last),
    borders: last === 0 ? [0] : [0, last],
  }));
  for (let run = 1; run < Math.min(runs, count); run++) {
    best = best.map((fewer, last) => {
      let found = fewer;
      for (let first = 1; first < last; first++) {
        const worst = Math.max(best[first]!.cost, cost(first, last));
        if (worst < found.cost) found = { cost: worst, borders: [...best[first]!.borders, last] };
      }
      return found;
    });
  }
  return best[count]!.borders;
}
