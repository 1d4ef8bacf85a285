/** How long what a holder recorded outlives its lease, when nothing else is heard of it: the contract says a day. */
export const progressMs = 24 * 60 * 60_000;

const claimsASweep = 64;

/** Whose turn it is to delete what has expired: a claim in 64, so that it needs no timer and no job. */
export class SweepTurn {
  // Anywhere, so that they also come to it that make a store for each event, as in a transaction.
  #claims = Math.floor(Math.random() * claimsASweep);

  next(): boolean {
    this.#claims = (this.#claims + 1) % claimsASweep;
    return this.#claims === 0;
  }
}
