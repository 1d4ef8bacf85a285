import type { Check } from '../util/check-options.js';

/** A check for each field of a call. */
export type FieldRules = Readonly<Record<string, Check>>;

const length = (text: string) => Array.from(text).length;

const isHttpsUrl = (value: unknown): value is string => {
  // `new URL` would silently correct white space and missing or extra slashes.
  if (typeof value !== 'string' || /[\s\p{Cc}]/u.test(value) || !/^https:\/\/[^/\\?#]/i.test(value)) return false;
  if (!URL.canParse(value)) return false;
  const { username, password } = new URL(value);
  return !username && !password;
};

export const httpsUrl: Check = [isHttpsUrl, 'an https:// address with a host and without a user name or white space'];

export function httpsUrlUpTo(characters: number): Check {
  return [
    (value) => isHttpsUrl(value) && length(value) <= characters,
    `${httpsUrl[1]}, ${characters} characters at most`,
  ];
}

export function nameUpTo(characters: number): Check {
  return [
    (value) => typeof value === 'string' && !/\p{Cc}/u.test(value) && length(value) <= characters,
    `a string of ${characters} characters at most, without control characters`,
  ];
}

export const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';

export const text: Check = [isText, 'a string that is not empty'];

export const orNull = ([isValid, form]: Check): Check => [
  (value) => value === null || isValid(value),
  `${form}, or null`,
];

/** A list that is not empty. */
export function listOf(isValid: (value: unknown) => boolean, form: string): Check {
  return [
    (value) => Array.isArray(value) && value.length > 0 && value.every(isValid),
    `a list of at least one ${form}`,
  ];
}

/** Throws a `TypeError` that names the call and the field, and never quotes a value. */
export function checkFields(call: string, given: object, fields: FieldRules, needed: readonly string[]): void {
  if (typeof given !== 'object' || given === null) throw new TypeError(`${call}: the fields must be an object`);
  for (const name of new Set([...needed, ...Object.keys(given)])) {
    const check = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (check === undefined) {
      throw new TypeError(`${call}: unknown field "${name}" (valid: ${Object.keys(fields).join(', ')})`);
    }
    const [isValid, form] = check;
    const value = (given as Record<string, unknown>)[name];
    const isMissing = value === undefined && !needed.includes(name);
    if (!isMissing && !isValid(value)) throw new TypeError(`${call}: ${name} must be ${form}`);
  }
}

/** The same for changes, which must have at least one field. */
export function checkChanges(call: string, changes: object, fields: FieldRules): void {
  checkFields(call, changes, fields, []);
  if (Object.values(changes).every((value) => value === undefined)) {
    throw new TypeError(`${call}: give at least one of ${Object.keys(fields).join(', ')}`);
  }
}

/** An id as a segment of a path. Throws a `TypeError` for an id that would change the path. */
export function segment(call: string, id: unknown): string {
  if (typeof id !== 'string' || /^\.{0,2}$/.test(id) || !id.isWellFormed()) {
    throw new TypeError(`${call}: the id must be a string as the service gave it`);
  }
  return encodeURIComponent(id);
}

/** The same for services whose ids are numbers. */
export function numericSegment(call: string, name: string, id: unknown): string {
  if (!Number.isSafeInteger(id) || (id as number) < 1) {
    throw new TypeError(`${call}: ${name} must be a positive whole number`);
  }
  return String(id);
}
