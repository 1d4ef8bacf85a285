/**
 * How often the candidates take turns in a round. Other load on the machine comes and goes in seconds: between
 * two that are compared there must be less. And a round must be long enough to have its share of major collections.
 */
export const turns = 4;

/** Which candidate comes first: each is in each place equally often, because the first of a turn is a little slower. */
let first = 0;

/** The result of `measure` for each candidate, as the mean of its turns. */
export async function inTurns(candidates, measure) {
  const inOrder = [...candidates];
  const sums = {};
  for (let turn = 0; turn < turns; turn++) {
    first = (first + 1) % inOrder.length;
    for (const [name, candidate] of [...inOrder.slice(first), ...inOrder.slice(0, first)]) {
      sums[name] = (sums[name] ?? 0) + (await measure(candidate, name));
    }
  }
  for (const name in sums) sums[name] /= turns;
  return sums;
}
