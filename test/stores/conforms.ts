import { afterAll, beforeAll, describe, it } from 'vitest';
import type { IdempotencyStore } from '../../src/contracts/store.js';
import { storeConformance } from '../../src/testing/index.js';
import { type MadeStore, type RemoteStore, remoteStore } from '../support/remote-store.js';

/** What the store is made of, for both instances the same data. */
type Given<Args> = () => Args | Promise<Args>;
type Make<Args> = (args: Args) => MadeStore | Promise<MadeStore>;

/** Holds two instances of a store, with a client each, to the conformance suite. */
export function conformsInOneProcess<Args>(make: Make<Args>, args: Given<Args>): void {
  let stores: readonly [MadeStore, MadeStore];
  beforeAll(async () => {
    const given = await args();
    stores = [await make(given), await make(given)];
  });
  afterAll(() => Promise.all(stores.map((made) => made.close?.())));

  describe('keeps the rules of a store in one process', () => {
    keepsTheRules(() => [stores[0].store, stores[1].store]);
  });
}

/** The same with one of them in a process of its own. `make` is a function of the module. */
export function conformsAcrossProcesses<Args>(module: URL, make: Make<Args>, args: Given<Args>): void {
  let local: MadeStore;
  let remote: RemoteStore;
  beforeAll(async () => {
    const given = await args();
    [local, remote] = await Promise.all([make(given), remoteStore(module, 'make', given)]);
  });
  afterAll(() => Promise.all([local?.close?.(), remote?.close()]));

  describe('keeps the rules of a store across two processes', () => keepsTheRules(() => [local.store, remote]));
}

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
