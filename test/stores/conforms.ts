import { afterAll, beforeAll, describe, it } from 'vitest';
import type { IdempotencyStore } from '../../src/contracts/store.js';
import { storeConformance } from '../../src/testing/index.js';
import { type MadeStore, type RemoteStore, remoteStore } from '../support/remote-store.js';

/**
 * Holds two instances of a store, with a client each, to the conformance suite. `args` gives what `make` of the module
 * takes, for both the same data.
 */
type Conforms = <Args>(
  module: URL,
  make: (args: Args) => MadeStore | Promise<MadeStore>,
  args: () => Args | Promise<Args>,
) => void;

export const conformsInOneProcess: Conforms = (_, make, args) => {
  let stores: readonly [MadeStore, MadeStore];
  beforeAll(async () => {
    const given = await args();
    stores = [await make(given), await make(given)];
  });
  afterAll(() => Promise.all(stores.map((made) => made.close?.())));

  describe('keeps the rules of a store in one process', () => {
    keepsTheRules(() => [stores[0].store, stores[1].store]);
  });
};

export const conformsAcrossProcesses: Conforms = (module, make, args) => {
  let local: MadeStore;
  let remote: RemoteStore;
  beforeAll(async () => {
    const given = await args();
    [local, remote] = await Promise.all([make(given), remoteStore(module, 'make', given)]);
  });
  afterAll(() => Promise.all([local?.close?.(), remote?.close()]));

  describe('keeps the rules of a store across two processes', () => keepsTheRules(() => [local.store, remote]));
};

/** Each case takes its stores in turns, however many run at the same time. */
function keepsTheRules(stores: () => readonly [IdempotencyStore, IdempotencyStore]): void {
  const suite = () => {
    let turn = 0;
    return storeConformance(() => stores()[turn++ % 2] as IdempotencyStore);
  };
  suite().forEach(({ name }, i) => {
    it.concurrent(name, () => suite()[i]?.run());
  });
}
