/** Whether a value is valid, and a description of valid values for errors. */
export type Check = readonly [isValid: (value: unknown) => boolean, form: string];

/** The longest time that `setTimeout` accepts. With a longer one it fires at once. */
const maxTimerMs = 2 ** 31 - 1;

export type Checks = Readonly<Record<string, Check>>;

export const isFunction = (value: unknown): boolean => typeof value === 'function';

export const aFunction: Check = [isFunction, 'a function'];

export const trueOrFalse: Check = [(value) => typeof value === 'boolean', 'true or false'];

export const aString: Check = [(value) => typeof value === 'string', 'a string'];

/** No request can have another path, so a handler would run unverified. */
export const endpointPath: Check = [
  (value) => typeof value === 'string' && /^\/[\w.~!$&'()*+,;=:@%/-]*$/.test(value),
  "a path that begins with '/', such as '/vast/webhooks', percent-encoded where it is not ASCII",
];

/** For options that are checked elsewhere with a better message. */
export const anything: Check = [() => true, 'anything'];

export const isWholeUpTo =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;

/** For times that a timer waits. */
export const milliseconds: Check = [isWholeUpTo(1, maxTimerMs), `a whole number of milliseconds, 1 to ${maxTimerMs}`];

/** For times that are compared with a clock. */
export const longMilliseconds: Check = [isWholeUpTo(1, Number.MAX_SAFE_INTEGER), 'a whole number of milliseconds'];

/** Throws a `TypeError` that names the option and its valid values. `owner` is the function that takes the options. */
export function checkOptions(options: object, checks: Checks, owner?: string): void {
  const where = owner === undefined ? '' : `${owner}: `;
  if (typeof options !== 'object' || options === null) throw new TypeError(`${where}the options must be an object`);
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      throw new TypeError(`${where}unknown option "${name}" (valid: ${Object.keys(checks).join(', ')})`);
    }
    const [isValid, form] = check;
    if (value !== undefined && !isValid(value)) throw new TypeError(`${where}the option ${name} must be ${form}`);
  }
}
