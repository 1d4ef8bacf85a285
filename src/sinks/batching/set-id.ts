import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

/** An id of a set of keys, whatever their order. Kept up to date, because to sort 100,000 keys stops the event loop. */
export class SetId {
  readonly #sum = Buffer.alloc(32);

  /** Adds the key, or removes it if the set has it. */
  toggle(key: string): void {
    const hash = createHash('sha256').update(key).digest();
    for (let i = 0; i < hash.length; i++) this.#sum[i] = (this.#sum[i] as number) ^ (hash[i] as number);
  }

  get value(): string {
    return this.#sum.toString('hex');
  }
}
