/** Room is made for so many at once, which takes no memory before they come: to grow stops everything for a while. */
const usualKeys = 131_072;
/** What a key takes, mostly: a scope, a provider's name and a UUID. */
const usualBytes = 48;

/**
 * The keys of the events that were completed last, each until a time of its own. They lie in typed arrays outside the
 * heap, as a ring in the order of completion and a hash table over it (open addressing, linear probing): as strings in
 * a Map, a hundred thousand of them are what the garbage collector spends most of its time on.
 */
export class CompletedKeys {
  readonly #max: number;
  readonly #room: number;
  /** Numbers count up, and a key's place in the ring is its number less whole rounds. */
  #first = 0;
  #next = 0;
  #hashes = new Uint32Array(0);
  #starts = new Uint32Array(0);
  /** In bytes; negative where a key has characters beyond Latin-1, and so two bytes for each. */
  #sizes = new Int32Array(0);
  /** 0: forgotten, and only waiting for its turn to go. */
  #untils = new Float64Array(0);
  /** Places in the ring, counted from 1; 0 is free. At most half of it is taken. */
  #table = new Uint32Array(0);
  /** The keys themselves, a ring, too. */
  #text = new Uint8Array(0);
  #textEnd = 0;
  #textUsed = 0;

  /** `max`: how many keys are kept. The oldest goes first. `room`: for how many there is room from the first one on. */
  constructor(max: number, room = usualKeys) {
    this.#max = max;
    this.#room = 2 ** Math.ceil(Math.log2(Math.min(max, room)));
  }

  /** Whether the key has been added and its time is not over. One whose time is over is forgotten. */
  has(key: string, hash: number, now: number): boolean {
    if (this.#next === this.#first) return false;
    const at = this.#find(key, hash);
    if (at === -1) return false;
    const place = (this.#table[at] as number) - 1;
    if ((this.#untils[place] as number) > now) return true;
    this.#untils[place] = 0;
    this.#free(at);
    return false;
  }

  /** Keeps a key that is not there until then, a time above 0. */
  add(key: string, hash: number, until: number): void {
    if (this.#text.length === 0) this.#makeRoom();
    if (this.#next - this.#first === this.#max) this.#dropOldest();
    if (this.#next - this.#first === this.#hashes.length) this.#growRing();
    const size = sizeOf(key);
    while (this.#textUsed + Math.abs(size) > this.#text.length) this.#growText();
    const place = this.#placeOf(this.#next++);
    this.#hashes[place] = hash;
    this.#starts[place] = this.#textEnd;
    this.#sizes[place] = size;
    this.#untils[place] = until;
    this.#write(key, size);
    this.#enter(place, hash);
  }

  #write(key: string, size: number): void {
    const text = this.#text;
    let end = this.#textEnd;
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i);
      text[end] = code;
      if (++end === text.length) end = 0;
      if (size > 0) continue;
      text[end] = code >> 8;
      if (++end === text.length) end = 0;
    }
    this.#textEnd = end;
    this.#textUsed += Math.abs(size);
  }

  #placeOf(number: number): number {
    return number & (this.#hashes.length - 1);
  }

  #enter(place: number, hash: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let at = hash & mask;
    while (table[at] !== 0) at = (at + 1) & mask;
    table[at] = place + 1;
  }

  /** Where in the table a key stands; -1 for nowhere. */
  #find(key: string, hash: number): number {
    const table = this.#table;
    const mask = table.length - 1;
    for (let at = hash & mask; table[at] !== 0; at = (at + 1) & mask) {
      const place = (table[at] as number) - 1;
      if (this.#hashes[place] === hash && this.#isAt(place, key)) return at;
    }
    return -1;
  }

  #isAt(place: number, key: string): boolean {
    const size = sizeOf(key);
    if (this.#sizes[place] !== size) return false;
    const text = this.#text;
    let from = this.#starts[place] as number;
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i);
      if (text[from] !== (code & 0xff)) return false;
      if (++from === text.length) from = 0;
      if (size > 0) continue;
      if (text[from] !== code >> 8) return false;
      if (++from === text.length) from = 0;
    }
    return true;
  }

  #dropOldest(): void {
    const place = this.#placeOf(this.#first++);
    this.#textUsed -= Math.abs(this.#sizes[place] as number);
    if (this.#untils[place] === 0) return;
    const mask = this.#table.length - 1;
    let at = (this.#hashes[place] as number) & mask;
    while (this.#table[at] !== place + 1) at = (at + 1) & mask;
    this.#free(at);
  }

  /** Moves up what stands behind and would not be found over the gap. */
  #free(at: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let gap = at;
    for (let next = (at + 1) & mask; table[next] !== 0; next = (next + 1) & mask) {
      const home = this.#hashes[(table[next] as number) - 1] as number;
      if (((next - home) & mask) < ((next - gap) & mask)) continue;
      table[gap] = table[next] as number;
      gap = next;
    }
    table[gap] = 0;
  }

  #makeRoom(): void {
    this.#makeRing(this.#room);
    this.#text = new Uint8Array(usualBytes * this.#room);
  }

  #makeRing(room: number): void {
    this.#hashes = new Uint32Array(room);
    this.#starts = new Uint32Array(room);
    this.#sizes = new Int32Array(room);
    this.#untils = new Float64Array(room);
    this.#table = new Uint32Array(2 * room);
  }

  #growRing(): void {
    const count = this.#hashes.length;
    const old = { hashes: this.#hashes, starts: this.#starts, sizes: this.#sizes, untils: this.#untils };
    this.#makeRing(2 * count);
    for (let number = this.#first; number < this.#next; number++) {
      const from = number & (count - 1);
      const place = this.#placeOf(number);
      const hash = old.hashes[from] as number;
      this.#hashes[place] = hash;
      this.#starts[place] = old.starts[from] as number;
      this.#sizes[place] = old.sizes[from] as number;
      this.#untils[place] = old.untils[from] as number;
      if (this.#untils[place] !== 0) this.#enter(place, hash);
    }
  }

  /** By half, since all of a ring is touched in time. The oldest key then begins at 0. */
  #growText(): void {
    const old = this.#text;
    const begin = (this.#textEnd - this.#textUsed + old.length) % old.length;
    this.#text = new Uint8Array(old.length + (old.length >> 1));
    this.#text.set(old.subarray(begin));
    this.#text.set(old.subarray(0, begin), old.length - begin);
    for (let number = this.#first; number < this.#next; number++) {
      const place = this.#placeOf(number);
      const start = this.#starts[place] as number;
      this.#starts[place] = start < begin ? start + old.length - begin : start - begin;
    }
    this.#textEnd = this.#textUsed;
  }
}

const beyondLatin1 = /[^\0-\xff]/;

function sizeOf(key: string): number {
  return beyondLatin1.test(key) ? -2 * key.length : key.length;
}
