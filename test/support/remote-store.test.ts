import { afterAll, beforeAll, describe, expect, it, onTestFinished, test } from 'vitest';
import { storeConformance } from '../../src/testing/index.js';
import { type RemoteStore, remoteStore } from './remote-store.js';

const memory = new URL('../stores/factories/memory.ts', import.meta.url);

describe('a store in another process', () => {
  let store: RemoteStore;
  beforeAll(async () => {
    store = await remoteStore(memory, 'make');
  });
  afterAll(() => store.close());

  for (const { name, run } of storeConformance(() => store)) test.concurrent(name, run);
});

describe('remoteStore', () => {
  it('makes the store of its arguments', async () => {
    const store = await remoteStore(memory, 'make', { maxCompleted: 1 });
    onTestFinished(store.close);
    for (const key of ['first', 'second']) {
      await store.claim(key, 'a', 60_000);
      await store.complete(key, 'a', 60_000);
    }
    expect(await store.claim('first', 'b', 60_000)).toEqual({ state: 'acquired', delivered: [] });
    expect(await store.claim('second', 'b', 60_000)).toEqual({ state: 'completed' });
  });

  it('rejects when the store cannot be made', async () => {
    await expect(remoteStore(memory, 'make', { maxCompleted: 0 })).rejects.toThrow('maxCompleted must be a whole');
  });

  it('rejects calls of a store that is killed', async () => {
    const store = await remoteStore(memory, 'make');
    const killed = store.kill();
    await expect(store.claim('k', 'a', 60_000)).rejects.toThrow();
    await killed;
    await expect(store.claim('k', 'a', 60_000)).rejects.toThrow('ended with SIGKILL');
    await store.close();
  });
});
