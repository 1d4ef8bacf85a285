/** A set of ids that forgets the oldest. */
export class RecentIds {
  readonly #max: number;
  readonly #ids = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  add(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size <= this.#max) return;
    const [oldest] = this.#ids;
    this.#ids.delete(oldest as string);
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
