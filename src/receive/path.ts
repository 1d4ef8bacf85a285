import { Buffer } from 'node:buffer';
/**
 * Whether some router, parser or proxy may read a request target as the endpoint. We compare from the end, segment by
 * segment, so that no mount and no prefix can hide the endpoint.
 */
export type TargetTest = (target: string) => boolean;

/** How often we decode a percent-encoded target. No known reader decodes it more often. */
const maxDecodings = 4;
/** Bits of a state: how many segments the dot segments have still to remove. The last bit stands for all higher numbers. */
const mostPending = 1 << 30;

/**
 * Creates a test for targets that end with `endpoint`. The endpoint `/` is the root itself, because every target ends with it.
 *
 * A target is on the endpoint when any reading of it is. Readers differ in what they decode, in which order, how often,
 * and whether dot segments, backslashes, empty segments, `;` parameters, fragments and white space count. So the test
 * does not choose: it reads the target once, from its end, and keeps all states that some reader may be in.
 */
export function targetTest(endpoint: string): TargetTest {
  const names = namesOf(endpoint);
  if (names.length === 0) return isRoot;
  const suffix = `/${names.join('/')}`;
  return (target) => target === suffix || (isPlain(target) ? isPlainlyAt(target, suffix) : mayEndWith(target, names));
}

/** Targets that all readers read in the same way, except for case and one slash at the end. */
function isPlain(target: string): boolean {
  return /^(?:\/[\w~-][\w.~-]*)*\/?(?:\?|$)/.test(target);
}

function isPlainlyAt(target: string, suffix: string): boolean {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  return (path.endsWith('/') ? path.slice(0, -1) : path).toLowerCase().endsWith(suffix);
}

function namesOf(endpoint: string): string[] {
  return decode(endpoint)
    .split('/')
    .map((segment) => nameOf(segment.replace(/;.*/, '')))
    .filter((name) => name !== '');
}

/** A segment without the characters that readers drop, in lower case of Unicode, so that a Kelvin sign is a k. */
function nameOf(segment: string): string {
  return segment
    .replace(/[\s\p{Cc}\uFFFD]/gu, '')
    .toUpperCase()
    .toLowerCase();
}

function decode(text: string): string {
  let decoded = text;
  for (let n = 0; n < maxDecodings && decoded.includes('%'); n++) {
    decoded = decoded.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) =>
      Buffer.from(bytes.replaceAll('%', ''), 'hex').toString(),
    );
  }
  return decoded;
}

/** Node.js gives each byte of a target as a character. Readers may decode them as UTF-8. */
function spellingsOf(target: string): readonly string[] {
  return /[\x80-\xff]/.test(target) ? [target, Buffer.from(target, 'latin1').toString()] : [target];
}

function mayEndWith(target: string, names: readonly string[]): boolean {
  return spellingsOf(target).some((spelling) => new Reader(names).read(spelling));
}

/** Whether no segment of a path stays, or it may be an authority without a path. */
function isRoot(target: string): boolean {
  return spellingsOf(target).some((spelling) =>
    [spelling, spelling.replace(/^(?:[a-z][a-z0-9+.-]*:[/\\]*|[/\\]{2,})[^/\\?#]*/i, '')].some((path) => {
      const reader = new Reader([]);
      reader.read(path);
      return reader.isNothingLeft;
    }),
  );
}

/**
 * All readings of a target at once, from right to left. A state is how many of the endpoint's names have been found,
 * and how many segments are still to be removed by dot segments on their right: `states[found]` has a bit for each
 * number of those.
 */
class Reader {
  readonly #names: readonly string[];
  #states: number[];
  /** States that have just removed a segment, and may have to remove more: what one reader splits another does not. */
  #removing: number[];
  #hasFound = false;

  constructor(names: readonly string[]) {
    this.#names = names;
    this.#states = this.#none();
    this.#removing = this.#none();
    this.#states[0] = 1;
  }

  get isNothingLeft(): boolean {
    return this.#states[0] !== 0;
  }

  /** Whether some reading ends with the names. */
  read(target: string): boolean {
    const query = target.indexOf('?');
    const segments = (query === -1 ? target : target.slice(0, query)).split('/');
    for (let at = segments.length - 1; at >= 0; at--) {
      const segment = segments[at] as string;
      // The first one may have a scheme before it.
      this.#readSegment(decode(at === 0 ? segment.replace(/^[a-z][a-z0-9+.-]*:/i, '') : segment));
      if (this.#hasFound) return true;
    }
    return false;
  }

  /** What stands between two slashes may hold further separators, encoded ones and backslashes: for some readers. */
  #readSegment(segment: string): void {
    const before = [...this.#states];
    this.#removing = this.#none();
    let end = segment.length;
    for (let at = segment.length - 1; at >= -1; at--) {
      const char = segment[at];
      if (at >= 0 && char !== '/' && char !== '\\' && char !== ';' && char !== '?' && char !== '#') continue;
      this.#readName(nameOf(segment.slice(at + 1, end)));
      end = at;
      // A parameter: what is behind in its segment may have been dropped with it.
      if (char === ';') for (const [found, states] of before.entries()) this.#add(found, states);
      // The path may end here.
      if (char === '?' || char === '#' || char === ';') this.#add(0, 1);
    }
  }

  #readName(name: string): void {
    const states = this.#none();
    const removing = this.#none();
    for (let found = 0; found < states.length; found++) {
      const here = this.#states[found] as number;
      const removed = remove(here) | (this.#removing[found] as number);
      removing[found] = removed;
      states[found] = (states[found] as number) | removed;
      // Dropped by some readers, and removed like any other by others.
      if (name === '' || name === '.') states[found] = (states[found] as number) | here;
      if (name === '..') states[found] = (states[found] as number) | removeOneMore(here);
      if ((here & 1) !== 0 && name === this.#names.at(-1 - found)) {
        states[found + 1] = 1;
        this.#hasFound ||= found + 1 === this.#names.length;
      }
    }
    this.#states = states;
    this.#removing = removing;
  }

  #add(found: number, states: number): void {
    this.#states[found] = (this.#states[found] as number) | states;
  }

  #none(): number[] {
    return new Array(this.#names.length + 1).fill(0);
  }
}

/** One segment less to be removed; where that was so many that they were not counted, as many. */
function remove(states: number): number {
  return (states >> 1) | (states & mostPending);
}

function removeOneMore(states: number): number {
  return ((states & ~mostPending) << 1) | (states & mostPending);
}
