import { InvalidArgumentError } from 'commander';

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

/** Seconds. */
export function upToADay(text: string): number {
  const value = positive(text);
  if (value > 86_400) throw new InvalidArgumentError('It must be 86400 at most, which is a day.');
  return value;
}

export function positiveInteger(text: string): number {
  const value = positive(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return value;
}

/** Processes of one machine. */
export function workerCount(text: string): number {
  const value = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 64) throw new InvalidArgumentError(`It must be ${aWorkerCount}.`);
  return value;
}

export const aWorkerCount = 'a whole number from 1 to 64';

export function integer(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** As `limit` of the middleware. */
export function toByteLimit(text: string): string {
  if (!/^\d+(\.\d+)? *([kmgtp]?b)?$/i.test(text) || Number.parseFloat(text) === 0) {
    throw new InvalidArgumentError('It must be like 65536, 64kb or 1mb.');
  }
  return text;
}

export function toPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

/** For an option that may be repeated. */
export function collect(value: string, values: readonly string[] = []): readonly string[] {
  return [...values, value];
}

export function wholeNumber(text: string): number {
  const value = integer(text);
  if (value < 0) throw new InvalidArgumentError('It must be 0 or a whole number above it.');
  return value;
}
