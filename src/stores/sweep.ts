/** How long recorded deliveries outlive their lease. The contract of the store requires a day. */
export const progressTtlMs = 24 * 60 * 60_000;

const claimsPerSweep = 64;

/** Decides when to delete expired rows: with every 64th claim, so that no timer and no job is needed. */
export class SweepSchedule {
  // Random start, so that short-lived stores also sweep, such as one per transaction.
  #claims = Math.floor(Math.random() * claimsPerSweep);

  /** Counts a claim. Returns whether it must sweep. */
  next(): boolean {
    this.#claims = (this.#claims + 1) % claimsPerSweep;
    return this.#claims === 0;
  }
}
