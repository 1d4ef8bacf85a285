/** Room is made for so many at once, which takes no memory before they come: to grow stops everything for a while. */
const usualKeys = 131_072;
/** What a key takes, mostly: a scope, a provider's name and a UUID. */
const usualBytes = 48;

/**
 * The keys of the events that were completed last, each until a time of its own. They lie in typed arrays outside the
 * heap: as strings in a Map, a hundred thousand of them are what the garbage collector spends most of its time on.
 *
 * It is a ring in the order of completion, with chains through it from newer keys to older ones of like hash. Nothing
 * is ever taken out of a chain: it ends where it comes to a place that newer keys have been given since.
 */
export class CompletedKeys {
  readonly #max: number;
  readonly #room: number;
  /** The next key's place in the ring, and how many before it are taken. */
  #next = 0;
  #count = 0;
  #hashes = new Uint32Array(0);
  #starts = new Uint32Array(0);
  /** In bytes; negative where a key has characters beyond Latin-1, and so two bytes for each. */
  #sizes = new Int32Array(0);
  #untils = new Float64Array(0);
  /** Of the newest key with a hash, and of the next older one: its place, counted from 1; 0 for none. */
  #newest = new Uint32Array(0);
  #older = new Uint32Array(0);
  /** The keys themselves: a ring, too, in which each stands in one piece. */
  #text = Buffer.alloc(0);
  #textEnd = 0;

  /** `max`: how many keys are kept. The oldest goes first. `room`: for how many there is room from the first one on. */
  constructor(max: number, room = usualKeys) {
    this.#max = max;
    this.#room = 2 ** Math.ceil(Math.log2(Math.min(max, room)));
  }

  /** Whether the key has been added and its time is not over. */
  has(key: string, hash: number, now: number): boolean {
    if (this.#count === 0) return false;
    let place = (this.#newest[this.#bucketOf(hash)] as number) - 1;
    for (let age = 0; place !== -1; place = (this.#older[place] as number) - 1) {
      const itsAge = this.#ageOf(place);
      if (itsAge <= age || itsAge > this.#count) return false;
      if (this.#hashes[place] === hash && this.#textAt(place) === key) return (this.#untils[place] as number) > now;
      age = itsAge;
    }
    return false;
  }

  /** Keeps a key that is not there until then. */
  add(key: string, hash: number, until: number): void {
    if (this.#hashes.length === 0) this.#makeRoom();
    if (this.#count === this.#max) this.#count--;
    else if (this.#count === this.#hashes.length) this.#growRing();
    const place = this.#next;
    const size = sizeOf(key);
    this.#starts[place] = this.#write(key, size);
    this.#sizes[place] = size;
    this.#untils[place] = until;
    this.#enter(place, hash);
    this.#next = (place + 1) & (this.#hashes.length - 1);
    this.#count++;
  }

  #enter(place: number, hash: number): void {
    const bucket = this.#bucketOf(hash);
    this.#hashes[place] = hash;
    this.#older[place] = this.#newest[bucket] as number;
    this.#newest[bucket] = place + 1;
  }

  #bucketOf(hash: number): number {
    return hash & (this.#newest.length - 1);
  }

  /** 1 for the newest key. */
  #ageOf(place: number): number {
    return ((this.#next - 1 - place) & (this.#hashes.length - 1)) + 1;
  }

  /** Where the text of the oldest key begins. */
  get #begin(): number {
    if (this.#count === 0) return 0;
    return this.#starts[(this.#next - this.#count) & (this.#hashes.length - 1)] as number;
  }

  #textAt(place: number): string {
    const start = this.#starts[place] as number;
    const size = this.#sizes[place] as number;
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

  /** Where so many bytes have room in one piece. The end stays short of the oldest key, or full would pass for empty. */
  #startFor(bytes: number): number | undefined {
    const begin = this.#begin;
    const end = this.#count === 0 ? 0 : this.#textEnd;
    if (end < begin) return end + bytes < begin ? end : undefined;
    if (end + bytes <= this.#text.length) return end;
    return bytes < begin ? 0 : undefined;
  }

  #makeRoom(): void {
    this.#makeRing(this.#room);
    this.#text = Buffer.alloc(usualBytes * this.#room);
  }

  #makeRing(room: number): void {
    this.#hashes = new Uint32Array(room);
    this.#starts = new Uint32Array(room);
    this.#sizes = new Int32Array(room);
    this.#untils = new Float64Array(room);
    this.#older = new Uint32Array(room);
    this.#newest = new Uint32Array(2 * room);
  }

  /** It is full: its oldest key stands where the next one would go. */
  #growRing(): void {
    const old = { hashes: this.#hashes, starts: this.#starts, sizes: this.#sizes, untils: this.#untils };
    const begin = this.#next;
    this.#makeRing(2 * this.#count);
    for (let place = 0; place < this.#count; place++) {
      const from = (begin + place) & (this.#count - 1);
      this.#starts[place] = old.starts[from] as number;
      this.#sizes[place] = old.sizes[from] as number;
      this.#untils[place] = old.untils[from] as number;
      this.#enter(place, old.hashes[from] as number);
    }
    this.#next = this.#count;
  }

  /** By half, since all of a ring is touched in time. The oldest key then begins at 0. */
  #growText(): void {
    const old = this.#text;
    const begin = this.#begin;
    const behind = old.length - begin;
    const isRound = this.#textEnd < begin;
    this.#text = Buffer.alloc(old.length + (old.length >> 1) + 1);
    old.copy(this.#text, 0, begin);
    old.copy(this.#text, behind, 0, isRound ? this.#textEnd : 0);
    for (let age = 1; age <= this.#count; age++) {
      const place = (this.#next - age) & (this.#hashes.length - 1);
      const start = this.#starts[place] as number;
      this.#starts[place] = start < begin ? start + behind : start - begin;
    }
    this.#textEnd = isRound ? this.#textEnd + behind : this.#textEnd - begin;
  }
}

const beyondLatin1 = /[^\0-\xff]/;

function sizeOf(key: string): number {
  return beyondLatin1.test(key) ? -2 * key.length : key.length;
}
