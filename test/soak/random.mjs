import { createHash } from 'node:crypto';

/**
 * A number from 0 to 1 that hangs on nothing but these words: what becomes of the third request about an event is the
 * same at every run with a seed, whenever it comes.
 */
export function chanceOf(...words) {
  return createHash('sha256').update(words.join(' ')).digest().readUInt32LE() / 2 ** 32;
}

/** A series of them. */
export class Random {
  #seed;
  #count = 0;

  constructor(...seed) {
    this.#seed = seed.join(' ');
  }

  next() {
    return chanceOf(this.#seed, this.#count++);
  }

  between(low, high) {
    return low + this.next() * (high - low);
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }
}
