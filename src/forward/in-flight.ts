/** Counts what is under way, so that closing can wait for it. */
export class InFlight {
  #count = 0;
  #closing = false;
  #waiting: (() => void)[] = [];

  get closing(): boolean {
    return this.#closing;
  }

  enter(): void {
    this.#count++;
  }

  leave(): void {
    this.#count--;
    if (this.#count === 0) {
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }

  /** Resolves when nothing is under way any more, or after `timeoutMs`. */
  close(timeoutMs?: number): Promise<void> {
    this.#closing = true;
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      // Not unreferenced: what stands behind an awaited close shall still run.
      const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
