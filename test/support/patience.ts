import { vi } from 'vitest';

/**
 * Whatever a test waits for is awaited for a minute, and not for vitest's second: how fast the machine is proves nothing.
 */
const patienceMs = 60_000;

type Options = number | { readonly timeout?: number; readonly interval?: number };

function patient(options: Options = {}) {
  const given = typeof options === 'number' ? { timeout: options } : options;
  return { ...given, timeout: Math.max(patienceMs, given.timeout ?? 0) };
}

const { waitFor, waitUntil } = vi;
vi.waitFor = (callback, options) => waitFor(callback, patient(options));
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options));
