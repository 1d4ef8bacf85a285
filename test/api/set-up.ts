import { inspect } from 'node:util';
import { expect, onTestFinished } from 'vitest';
import { ApiError } from '../../src/api/index.js';

/** Closes what a test started when it ends. */
export async function started<Closable extends { close(): Promise<void> }>(
  starting: Promise<Closable>,
): Promise<Closable> {
  const closable = await starting;
  onTestFinished(() => closable.close());
  return closable;
}

/** The `ApiError` that a call rejects with. */
export async function errorOf(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => expect.fail('the call succeeded'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

/** All that an error shows, whichever way it is printed. */
export function printed(error: unknown): string {
  const own = Reflect.ownKeys(Object(error)).map((key) => (error as Record<PropertyKey, unknown>)[key]);
  return [
    String(error),
    (error as Error).stack,
    JSON.stringify(error),
    JSON.stringify(own),
    inspect(error, { depth: null, showHidden: true, getters: true }),
  ].join('\n');
}
