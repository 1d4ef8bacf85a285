import { type Choices, Replayed, Seeded } from './choices.js';
import { drawPlan, type Plan, smallPlan } from './plan.js';
import { type Violation, violationsOf } from './promise.js';
import { World } from './world.js';

export interface Result {
  readonly violations: readonly Violation[];
  readonly made: readonly number[];
  readonly log: readonly string[];
  readonly steps: number;
  readonly plan: Plan;
}

/** One world, from its beginning to its end. */
async function live(choices: Choices, draw: typeof drawPlan, keepsLog = false): Promise<Result> {
  // Backoff and sweeps ask for it.
  const { random } = Math;
  const { stackTraceLimit } = Error;
  // Many errors are made and none is read: most of what a world costs would be their stacks.
  Error.stackTraceLimit = 0;
  let state = 1;
  Math.random = () => {
    state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => rejections.push(reason);
  process.on('unhandledRejection', onRejection);
  try {
    const world = new World(draw(choices), choices, keepsLog);
    await world.run();
    const violations = violationsOf(world);
    for (const reason of rejections) violations.push({ rule: 'no unhandled rejection', what: String(reason) });
    return {
      violations,
      made: choices.made,
      log: world.machine.lines ?? [],
      steps: world.machine.steps,
      plan: world.plan,
    };
  } finally {
    process.off('unhandledRejection', onRejection);
    Math.random = random;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export function bySeed(seed: number, keepsLog = false): Promise<Result> {
  return live(new Seeded(seed), drawPlan, keepsLog);
}

export interface Found {
  readonly seed: number;
  readonly violations: readonly Violation[];
}

/** Worlds of one seed after another, until one is found in which the promise does not hold. */
export async function search(
  from: number,
  count: number,
  onProgress?: (done: number) => void,
): Promise<Found | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const { violations } = await bySeed(seed);
    if (violations.length > 0) return { seed, violations };
    const done = seed - from + 1;
    if (onProgress !== undefined && done % 1_000 === 0) onProgress(done);
  }
  return undefined;
}

/** The same violation with as many harmless choices as can be had, and what happens then. */
export async function shrink(seed: number, most = 1_500): Promise<Result> {
  const { made, violations } = await bySeed(seed);
  const rule = violations[0]?.rule;
  let best = [...made];
  let runs = 0;
  const holds = async (list: number[]) => {
    runs++;
    const result = await live(new Replayed(list), drawPlan);
    return result.violations.some((violation) => violation.rule === rule);
  };
  for (let size = best.length; size >= 1 && runs < most; size = Math.floor(size / 2)) {
    for (let from = 0; from < best.length && runs < most; from += size) {
      if (best.slice(from, from + size).every((value) => value === 0)) continue;
      const list = best.map((value, i) => (i >= from && i < from + size ? 0 : value));
      if (await holds(list)) best = list;
    }
  }
  return live(new Replayed(best), drawPlan, true);
}

/**
 * Every history of the small world in which at most `deviations` times something comes before what was due a moment
 * earlier. Depth first, each from its beginning. Ends with the first in which the promise does not hold.
 */
export async function explore(
  deviations: number,
  most = Number.POSITIVE_INFINITY,
  onProgress?: (histories: number) => void,
) {
  const draw = (choices: Choices) => smallPlan(choices, deviations);
  let histories = 0;
  for (let list: number[] | undefined = []; list !== undefined && histories < most; ) {
    const choices: Replayed = new Replayed(list);
    const { violations } = await live(choices, draw);
    histories++;
    if (violations.length > 0) {
      const { log } = await live(new Replayed(choices.made), draw, true);
      return { histories, violations, log };
    }
    if (onProgress !== undefined && histories % 1_000 === 0) onProgress(histories);
    list = choices.next();
  }
  return { histories, violations: [], log: [] };
}

/** Of each rule that does not hold in some of so many worlds: the first seed, and how many there are. */
export async function tally(from: number, count: number): Promise<Map<string, { seed: number; count: number }>> {
  const rules = new Map<string, { seed: number; count: number }>();
  for (let seed = from; seed < from + count; seed++) {
    const { violations, plan } = await bySeed(seed);
    const where = plan.isolates ? ' (isolates)' : plan.receivers > 1 ? ' (two receivers)' : '';
    const kinds = violations.map(
      ({ rule, what }) => rule + (what.includes('in one process') ? ' (in one process)' : '') + where,
    );
    for (const rule of new Set(kinds)) {
      const known = rules.get(rule);
      if (known === undefined) rules.set(rule, { seed, count: 1 });
      else known.count++;
    }
  }
  return rules;
}
