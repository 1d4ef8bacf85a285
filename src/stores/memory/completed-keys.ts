import { Buffer } from 'node:buffer';

/** Reserved up front: untouched pages cost no memory, and growing later blocks the event loop. */
const usualKeys = 131_072;
/** Size of a usual key: a scope, a provider's name and a UUID. */
const usualBytes = 48;

/**
 * The keys of the latest completed events, each with its own expiry time. They are in typed arrays outside the heap,
 * because the garbage collector would spend most of its time on 100,000 strings in a Map.
 *
 * It is a ring buffer in the order of completion. Hash chains lead through it, from newer keys to older ones. No entry
 * is ever removed from a chain: it ends at the first slot that was reused for a newer key.
 */
export class CompletedKeys {
  readonly #max: number;
  readonly #reserved: number;
  /** The next key's slot in the ring. The `#count` slots before it are in use. */
  #next = 0;
  #count = 0;
  #hashes = new Uint32Array(0);
  #starts = new Uint32Array(0);
  /** In bytes. Negative if a key has characters beyond Latin-1, and so two bytes per character. */
  #sizes = new Int32Array(0);
  #expiresAt = new Float64Array(0);
  /** Slots of the newest key in a hash bucket, and of the next older one. Counted from 1, because 0 means none. */
  #newest = new Uint32Array(0);
  #older = new Uint32Array(0);
  /** The text of the keys: a ring, too. No key wraps around its end. */
  #text = Buffer.alloc(0);
  #textEnd = 0;

  /** Keeps `max` keys and drops the oldest first. `reserved`: for how many keys the first one reserves memory. */
  constructor(max: number, reserved = usualKeys) {
    this.#max = max;
    this.#reserved = 2 ** Math.ceil(Math.log2(Math.min(max, reserved)));
  }

  /** Whether the key was added and has not expired. */
  has(key: string, hash: number, now: number): boolean {
    if (this.#count === 0) return false;
    let slot = (this.#newest[this.#bucketOf(hash)] as number) - 1;
    for (let age = 0; slot !== -1; slot = (this.#older[slot] as number) - 1) {
      const slotAge = this.#ageOf(slot);
      // Ages rise along a chain. A newer key in this slot means that the chain has ended.
      if (slotAge <= age || slotAge > this.#count) return false;
      if (this.#hashes[slot] === hash && this.#textAt(slot) === key) return (this.#expiresAt[slot] as number) > now;
      age = slotAge;
    }
    return false;
  }

  /** Adds a key that is not there yet. */
  add(key: string, hash: number, expiresAt: number): void {
    if (this.#hashes.length === 0) this.#reserve();
    if (this.#count === this.#max) this.#count--;
    else if (this.#count === this.#hashes.length) this.#growRing();
    const slot = this.#next;
    const size = sizeOf(key);
    this.#starts[slot] = this.#write(key, size);
    this.#sizes[slot] = size;
    this.#expiresAt[slot] = expiresAt;
    this.#link(slot, hash);
    this.#next = (slot + 1) & (this.#hashes.length - 1);
    this.#count++;
  }

  #link(slot: number, hash: number): void {
    const bucket = this.#bucketOf(hash);
    this.#hashes[slot] = hash;
    this.#older[slot] = this.#newest[bucket] as number;
    this.#newest[bucket] = slot + 1;
  }

  #bucketOf(hash: number): number {
    return hash & (this.#newest.length - 1);
  }

  /** 1 for the newest key. */
  #ageOf(slot: number): number {
    return ((this.#next - 1 - slot) & (this.#hashes.length - 1)) + 1;
  }

  /** Where the text of the oldest key begins. */
  get #begin(): number {
    if (this.#count === 0) return 0;
    return this.#starts[(this.#next - this.#count) & (this.#hashes.length - 1)] as number;
  }

  #textAt(slot: number): string {
    const start = this.#starts[slot] as number;
    const size = this.#sizes[slot] as number;
    return this.#text.toString(size < 0 ? 'utf16le' : 'latin1', start, start + Math.abs(size));
  }

  #write(key: string, size: number): number {
    const bytes = Math.abs(size);
    let start = this.#startFor(bytes);
    while (start === undefined) {
      this.#growText();
      start = this.#startFor(bytes);
    }
    this.#text.write(key, start, size < 0 ? 'utf16le' : 'latin1');
    this.#textEnd = start + bytes;
    return start;
  }

  /** Where so many bytes fit in one piece. The end never reaches the oldest key, or a full ring would look empty. */
  #startFor(bytes: number): number | undefined {
    const begin = this.#begin;
    const end = this.#count === 0 ? 0 : this.#textEnd;
    if (end < begin) return end + bytes < begin ? end : undefined;
    if (end + bytes <= this.#text.length) return end;
    return bytes < begin ? 0 : undefined;
  }

  #reserve(): void {
    this.#makeRing(this.#reserved);
    this.#text = Buffer.alloc(usualBytes * this.#reserved);
  }

  #makeRing(slots: number): void {
    this.#hashes = new Uint32Array(slots);
    this.#starts = new Uint32Array(slots);
    this.#sizes = new Int32Array(slots);
    this.#expiresAt = new Float64Array(slots);
    this.#older = new Uint32Array(slots);
    this.#newest = new Uint32Array(2 * slots);
  }

  /** Called when the ring is full: its oldest key is in the slot of the next one. */
  #growRing(): void {
    const old = { hashes: this.#hashes, starts: this.#starts, sizes: this.#sizes, expiresAt: this.#expiresAt };
    const begin = this.#next;
    this.#makeRing(2 * this.#count);
    for (let slot = 0; slot < this.#count; slot++) {
      const from = (begin + slot) & (this.#count - 1);
      this.#starts[slot] = old.starts[from] as number;
      this.#sizes[slot] = old.sizes[from] as number;
      this.#expiresAt[slot] = old.expiresAt[from] as number;
      this.#link(slot, old.hashes[from] as number);
    }
    this.#next = this.#count;
  }

  /** Grows by half only, because a ring soon uses all of its memory. The oldest key then begins at 0. */
  #growText(): void {
    const old = this.#text;
    const begin = this.#begin;
    const behind = old.length - begin;
    const isWrapped = this.#textEnd < begin;
    this.#text = Buffer.alloc(old.length + (old.length >> 1) + 1);
    old.copy(this.#text, 0, begin);
    old.copy(this.#text, behind, 0, isWrapped ? this.#textEnd : 0);
    for (let age = 1; age <= this.#count; age++) {
      const slot = (this.#next - age) & (this.#hashes.length - 1);
      const start = this.#starts[slot] as number;
      this.#starts[slot] = start < begin ? start + behind : start - begin;
    }
    this.#textEnd = isWrapped ? this.#textEnd + behind : this.#textEnd - begin;
  }
}

const beyondLatin1 = /[^\0-\xff]/;

function sizeOf(key: string): number {
  return beyondLatin1.test(key) ? -2 * key.length : key.length;
}
