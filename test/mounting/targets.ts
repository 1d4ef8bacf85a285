/** Request targets that some router, parser or proxy may read as the endpoint's. */
import type { Random } from './random.js';

type Change = (target: string, random: Random) => string;

/** One of a text's characters that a test picks, replaced. */
function atOne(which: (char: string) => boolean, replace: (char: string, random: Random) => string): Change {
  return (target, random) => {
    const places = [...target].flatMap((char, at) => (which(char) ? [at] : []));
    if (places.length === 0) return target;
    const at = random.pick(places);
    return target.slice(0, at) + replace(target[at] as string, random) + target.slice(at + 1);
  };
}

const isSlash = (char: string) => char === '/';
const isLetter = (char: string) => /[a-z]/i.test(char);
const encoded = (char: string) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
/** Characters that fold to an ASCII letter: the Kelvin sign and the long s, as UTF-8. */
const lookalikes: Readonly<Record<string, string>> = { k: '%E2%84%AA', s: '%C5%BF' };

const changes: readonly Change[] = [
  (target, random) =>
    random.pick(['http://h', 'x://h', 'http://h:80', 'HTTP://u@h', '//h', 'http://h;', 'http://']) + target,
  (target, random) =>
    target +
    random.pick([
      '/',
      '//',
      '#/',
      '#',
      '#a',
      '?/',
      '?',
      '?a=/b',
      '%20',
      '\t',
      '\xa0',
      '%00',
      '%C2%A0',
      ';a',
      ';/x',
      '%3Ba',
      '/.',
      '/x/..',
      '%2f',
      '\\',
    ]),
  (target, random) =>
    random.pick(['/.', '/x/..', '/%2e', '/x/%2E%2e', '\\.', '/x/.%2e', '/', '\\', '/\t', '/x/y/../..']) + target,
  atOne(isSlash, (_, random) =>
    random.pick([
      '\\',
      '//',
      '%2f',
      '%5C',
      '/./',
      '/x/../',
      '/%2e/',
      '\\.\\',
      '/.\\',
      ';a/',
      '/;a/',
      '/x\\..\\',
      '%252f',
      '/x%2f../',
    ]),
  ),
  atOne(isLetter, (char) => encoded(char)),
  atOne(isLetter, (char) => encoded(char).replace('%', '%25')),
  atOne(isLetter, (char) => (char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase())),
  atOne(
    (char) => char in lookalikes,
    (char) => lookalikes[char] as string,
  ),
  (target) => target.toUpperCase(),
];

/** The target as it is, or after up to three changes. */
export function randomTarget(target: string, random: Random): string {
  let changed = target;
  for (let n = random.below(4); n > 0; n--) changed = random.pick(changes)(changed, random);
  return changed;
}
