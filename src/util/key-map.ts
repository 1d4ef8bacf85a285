interface Entry<Value> {
  readonly key: string;
  readonly hash: number;
  value: Value;
  /** One that is older. */
  next: Entry<Value> | undefined;
}

/**
 * A map for keys that come and go with each delivery, as a hash table with chains. V8's own `Map` makes itself anew all
 * the time then, and leaves each of its tables with a pointer to the next one: as soon as one of them is old, the
 * garbage collector takes all that has been in the later ones for alive, and copies it.
 */
export class KeyMap<Value> {
  #buckets: (Entry<Value> | undefined)[] = new Array(16).fill(undefined);
  #size = 0;
  readonly #isOver: ((value: Value) => boolean) | undefined;

  /** Entries for which `isOver` holds may be left out whenever room is made. */
  constructor(isOver?: (value: Value) => boolean) {
    this.#isOver = isOver;
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

  /** Leaves alone what has been set in place of `value`, if that is given. */
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
    if (this.#isOver !== undefined) this.#leaveOut(this.#isOver);
    // Half empty, or the next time would come too soon. Otherwise what is over would still make the table grow.
    if (this.#size > this.#buckets.length / 2) this.#grow();
  }

  #leaveOut(isOver: (value: Value) => boolean): void {
    const buckets = this.#buckets;
    for (let at = 0; at < buckets.length; at++) {
      let entry = buckets[at];
      buckets[at] = undefined;
      while (entry !== undefined) {
        const { next } = entry;
        if (isOver(entry.value)) this.#size--;
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

/** FNV-1a over UTF-16 units, its bits mixed once more since tables look at the lowest only. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
