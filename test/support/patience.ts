import { vi } from 'vitest';

/**
 * Whatever a test waits for is awaited for a minute, and not for vitest's second: how fast the machine is proves nothing.
 */
const patienceMs = 60_000;

type Options = number | { readonly timeout?: number; readonly interval?: number };

function patient(options: Options = {}) {
  return { timeout: patienceMs, ...(typeof options === 'number' ? { timeout: options } : options) };
}

const { waitFor, waitUntil } = vi;
vi.waitFor = (callback, options) => waitFor(callback, patient(options));
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options));
