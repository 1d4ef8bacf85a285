import type { IdempotencyStore } from '../../src/contracts/store.js';
import { memoryStore } from '../../src/stores/memory/memory-store.js';

type Operation = keyof IdempotencyStore;

/** Replaces an operation. It may call `real`. */
type Fault = (real: () => unknown) => unknown;

/** A memory store that answers over promises, as those on a network do, and can be made to fail as they do. */
export function faultyStore() {
  const real = memoryStore();
  const calls: [operation: Operation, ...args: unknown[]][] = [];
  const faults: Partial<Record<Operation, Fault>> = {};
  const call = (operation: Operation) =>
    ((...args: never[]) => {
      calls.push([operation, ...args]);
      const run = () => (real[operation] as (...args: never[]) => unknown)(...args);
      const fault = faults[operation];
      return fault ? fault(run) : Promise.resolve(run());
    }) as never;
  const store: IdempotencyStore = {
    claim: call('claim'),
    renew: call('renew'),
    delivered: call('delivered'),
    complete: call('complete'),
    release: call('release'),
  };
  return {
    store,
    /** Without the faults, to look at and to interfere with. */
    real,
    calls,
    operations: () => calls.map(([operation]) => operation),
    fault(operation: Operation, fault: Fault | undefined) {
      faults[operation] = fault;
    },
  };
}

export const hang: Fault = () => new Promise(() => {});
export const fail: Fault = () => Promise.reject(new Error('connection lost'));
