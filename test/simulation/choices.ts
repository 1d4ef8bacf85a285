/**
 * Where all that is left to chance in a world comes from. Every choice is a whole number, and 0 is the most harmless one:
 * a run is made smaller by putting zeros in the place of what it has chosen.
 */
export interface Choices {
  /** 0 to `n` - 1. */
  pick(n: number): number;
  /** Whether something happens that happens so many times in a hundred. */
  chance(percent: number): boolean;
  /** What has been chosen up to now, for a replay. */
  readonly made: readonly number[];
}

/** From a seed: mulberry32. */
export class Seeded implements Choices {
  readonly made: number[] = [];
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0;
  }

  pick(n: number): number {
    return this.#keep(this.#next() % n);
  }

  chance(percent: number): boolean {
    // No choice, and so none that is recorded or gone through.
    if (percent <= 0) return false;
    return this.#keep(this.#next() % 1_000 < 10 * percent ? 1 : 0) === 1;
  }

  #keep(value: number): number {
    this.made.push(value);
    return value;
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
}

/** From a list; harmless ones behind its end. */
export class Replayed implements Choices {
  readonly made: number[] = [];
  /** Out of how many each was chosen. */
  readonly outOf: number[] = [];
  readonly #list: readonly number[];

  constructor(list: readonly number[]) {
    this.#list = list;
  }

  pick(n: number): number {
    const value = (this.#list[this.made.length] ?? 0) % n;
    this.made.push(value);
    this.outOf.push(n);
    return value;
  }

  chance(percent: number): boolean {
    return percent > 0 && this.pick(2) === 1;
  }

  /** The list of the next run, when all runs shall be gone through; undefined after the last one. */
  next(): number[] | undefined {
    const list = [...this.made];
    for (let i = list.length - 1; i >= 0; i--) {
      const value = (list[i] as number) + 1;
      if (value < (this.outOf[i] as number)) return [...list.slice(0, i), value];
    }
    return undefined;
  }
}
