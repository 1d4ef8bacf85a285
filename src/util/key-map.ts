interface Entry<Value> {
  readonly key: string;
  readonly hash: number;
  value: Value;
  /** The next older entry of the bucket. */
  next: Entry<Value> | undefined;
}

/**
 * A map for keys that come and go with each delivery: a hash table with chains. V8's `Map` reallocates its table often
 * then, and each old table keeps the next one alive. Once one table is in the old generation, the garbage collector
 * copies everything in the later tables, too.
 */
export class KeyMap<Value> {
  #buckets: (Entry<Value> | undefined)[] = new Array(16).fill(undefined);
  #size = 0;
  readonly #isExpired: ((value: Value) => boolean) | undefined;

  /** Entries for which `isExpired` returns true are removed when the table grows. */
  constructor(isExpired?: (value: Value) => boolean) {
    this.#isExpired = isExpired;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string, hash: number): Value | undefined {
    return this.#find(key, hash)?.value;
  }

  set(key: string, hash: number, value: Value): void {
    const found = this.#find(key, hash);
    if (found !== undefined) {
      found.value = value;
      return;
    }
    if (this.#size === this.#buckets.length) this.#makeRoom();
    this.#size++;
    this.#enter({ key, hash, value, next: undefined });
  }

  /** If `value` is given, deletes the entry only if it still has this value. */
  delete(key: string, hash: number, value?: Value): void {
    const at = this.#bucketOf(hash);
    let before: Entry<Value> | undefined;
    for (let entry = this.#buckets[at]; entry !== undefined; entry = entry.next) {
      if (entry.key === key) {
        if (value !== undefined && entry.value !== value) return;
        if (before === undefined) this.#buckets[at] = entry.next;
        else before.next = entry.next;
        this.#size--;
        return;
      }
      before = entry;
    }
  }

  #find(key: string, hash: number): Entry<Value> | undefined {
    let entry = this.#buckets[this.#bucketOf(hash)];
    while (entry !== undefined && entry.key !== key) entry = entry.next;
    return entry;
  }

  #bucketOf(hash: number): number {
    return hash & (this.#buckets.length - 1);
  }

  #enter(entry: Entry<Value>): void {
    const at = this.#bucketOf(entry.hash);
    entry.next = this.#buckets[at];
    this.#buckets[at] = entry;
  }

  #makeRoom(): void {
    if (this.#isExpired !== undefined) this.#dropExpired(this.#isExpired);
    // If the table stays more than half full, the next call would come too soon, so it grows.
    if (this.#size > this.#buckets.length / 2) this.#grow();
  }

  #dropExpired(isExpired: (value: Value) => boolean): void {
    const buckets = this.#buckets;
    for (let at = 0; at < buckets.length; at++) {
      let entry = buckets[at];
      buckets[at] = undefined;
      while (entry !== undefined) {
        const { next } = entry;
        if (isExpired(entry.value)) this.#size--;
        else this.#enter(entry);
        entry = next;
      }
    }
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array(2 * old.length).fill(undefined);
    for (let entry of old) {
      while (entry !== undefined) {
        const { next } = entry;
        this.#enter(entry);
        entry = next;
      }
    }
  }
}

/** FNV-1a over UTF-16 units. The bits are mixed once more, because tables use only the lowest ones. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
