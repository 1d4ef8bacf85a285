const maxEvents = 10_000;
const none: readonly string[] = [];

/**
 * Deliveries that the store could not record before the lease ended. This process, at least, does not repeat them.
 */
export class LocalProgress {
  readonly #sinks = new Map<string, readonly string[]>();

  add(key: string, sinks: readonly string[]): void {
    this.#sinks.set(key, [...this.take(key), ...sinks]);
    if (this.#sinks.size <= maxEvents) return;
    const [oldest] = this.#sinks.keys();
    this.#sinks.delete(oldest as string);
  }

  take(key: string): readonly string[] {
    const sinks = this.#sinks.get(key);
    if (sinks === undefined) return none;
    this.#sinks.delete(key);
    return sinks;
  }
}
