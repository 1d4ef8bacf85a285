import type pg from 'pg';
import { expect, it, vi } from 'vitest';
import { postgresStore } from '../../src/stores/index.js';
import { describeWithPostgres } from '../support/backends.js';
import { aClient, aPool, aSchema } from './own-schema.js';
import { claimTogether, makeEvents } from './together.js';

const minute = 60_000;
const acquired = { state: 'acquired', delivered: [] };
const numbers = Array.from({ length: 40 }, (_, i) => i);

/** A store whose table is there, its pool and the statements that the pool is given. */
async function aStore(options: pg.PoolConfig = {}) {
  const schema = await aSchema();
  const pool = aPool(schema.url, options);
  const store = postgresStore(pool);
  await store.claim('first', 'a', minute);
  const queries = vi.spyOn(pool, 'query');
  const sizes = () =>
    queries.mock.calls.flatMap(([query]) => {
      const [keys] = (query as unknown as pg.QueryConfig).values as unknown[];
      // A sweep has none.
      return Array.isArray(keys) ? keys.length : keys === undefined ? [] : 1;
    });
  return { store, pool, schema, sizes };
}

describeWithPostgres('calls of postgresStore that come in one turn of the event loop', () => {
  it('share a statement, each with an answer of its own', async () => {
    const { store, sizes } = await aStore();
    await makeEvents(store);
    const before = sizes().length;
    await claimTogether(store);
    expect(sizes().slice(before)).toEqual([1, 4]);
  });

  it.each(['renew', 'complete', 'release'] as const)('%s only what their token holds', async (operation) => {
    const { store, sizes } = await aStore();
    await Promise.all(numbers.map((i) => store.claim(`k${i}`, i % 2 ? 'mine' : 'other', minute)));
    const before = sizes().length;
    const held = await Promise.all(numbers.map((i) => store[operation](`k${i}`, 'mine', minute)));
    expect(held).toEqual(numbers.map((i) => i % 2 === 1));
    expect(sizes().slice(before)).toEqual([1, numbers.length - 1]);
  });

  it('record sinks of several events, and several sinks of one', async () => {
    const { store } = await aStore();
    await Promise.all(numbers.map((i) => store.claim(`k${i}`, 'a', minute)));
    const sinks = ['slack', 'audit', 'it\'s "x" {y}'];
    const recorded = numbers.flatMap((i) => sinks.map((sink) => store.delivered(`k${i}`, 'a', sink)));
    expect(new Set(await Promise.all(recorded))).toEqual(new Set([true]));
    const again = await Promise.all(numbers.map((i) => store.claim(`k${i}`, 'a', minute)));
    for (const claimed of again) {
      expect(claimed).toEqual({ state: 'acquired', delivered: expect.arrayContaining(sinks) });
      expect(Object(claimed).delivered).toHaveLength(sinks.length);
    }
  });

  it('are made alone when one of them spoils the statement', async () => {
    const { store } = await aStore();
    const calls = numbers.map((i) => store.claim(i === 7 ? 'k\0' : `k${i}`, 'a', minute));
    const results = await Promise.allSettled(calls);
    expect(results.map(({ status }) => status)).toEqual(numbers.map((i) => (i === 7 ? 'rejected' : 'fulfilled')));
    const [first] = results;
    expect(first).toHaveProperty('value', acquired);
  });

  it('do not wait for one whose event another transaction has locked', async () => {
    const { store, schema } = await aStore();
    await Promise.all(numbers.map((i) => store.claim(`k${i}`, 'a', minute)));
    const other = await aClient(schema.url);
    await other.query('BEGIN');
    // As a store on a client in the user's transaction.
    await postgresStore(other).renew('k3', 'a', minute);
    const settled: number[] = [];
    const calls = numbers.map(async (i) => {
      await store.complete(`k${i}`, 'a', minute);
      settled.push(i);
    });
    const locked = expect(calls[3]).rejects.toThrow('lock timeout');
    await Promise.all(calls.filter((_, i) => i !== 3));
    expect(settled).not.toContain(3);
    await locked;
    await other.query('COMMIT');
    expect(await store.complete('k3', 'a', minute)).toBe(true);
  });

  it.each(['ECONNRESET', '08006'])(
    'fail all when the connection breaks (%s): nobody knows what was done',
    async (code) => {
      const pool = aPool((await aSchema()).url);
      const breaking = {
        totalCount: 1,
        async query(given: pg.QueryConfig) {
          const result = await pool.query(given);
          if (Array.isArray(given.values?.[0])) throw Object.assign(new Error('broken'), { code });
          return result;
        },
      };
      const store = postgresStore(breaking);
      await store.claim('first', 'a', minute);
      const results = await Promise.allSettled(numbers.map((i) => store.claim(`k${i}`, 'a', minute)));
      expect(results.map(({ status }) => status)).toEqual(numbers.map((i) => (i === 0 ? 'fulfilled' : 'rejected')));
      expect(await store.claim('k9', 'a', minute)).toEqual(acquired);
    },
  );

  it('find their answers when the server changes a key', async () => {
    const { store, sizes } = await aStore();
    // Half a surrogate pair, which no UTF-8 has.
    const claims = ['x', 'k\uD800', 'y'].map((key) => store.claim(key, 'a', minute));
    expect(await Promise.all(claims)).toEqual([acquired, acquired, acquired]);
    const completions = ['x', 'k\uD800', 'y'].map((key) => store.complete(key, 'a', minute));
    expect(await Promise.all(completions)).toEqual([true, true, true]);
    expect(sizes()).toEqual([1, 2, 1, 2]);
  });

  it.each([1, 2])('reject when the pool throws, %i in a statement', async (count) => {
    const pool = aPool((await aSchema()).url);
    const query = vi.fn((given: pg.QueryConfig) => pool.query(given));
    const wrapped = { totalCount: 1, query };
    const store = postgresStore(wrapped);
    await store.claim('first', 'a', minute);
    const alone = store.claim('alone', 'a', minute);
    const together = numbers.slice(0, count).map((i) => store.claim(`k${i}`, 'a', minute));
    query.mockImplementation(() => {
      throw new Error('wrapped badly');
    });
    const results = await Promise.allSettled(together);
    expect(results.map((result) => Object(result).reason?.message)).toEqual(together.map(() => 'wrapped badly'));
    expect(await alone).toEqual(acquired);
  });

  it('are acquired although the sweep after one of them throws', async () => {
    const pool = aPool((await aSchema()).url);
    const query = vi.fn((given: pg.QueryConfig) => {
      if (given.text.trim().startsWith('DELETE')) throw new Error('wrapped badly');
      return pool.query(given);
    });
    // The first claim sweeps.
    vi.spyOn(Math, 'random').mockReturnValueOnce(0.999);
    const wrapped = { totalCount: 1, query };
    const store = postgresStore(wrapped);
    expect(await store.claim('first', 'a', minute)).toEqual(acquired);
    expect(query.mock.results.filter(({ type }) => type === 'throw')).toHaveLength(1);
  });

  it('go one by one on a client, whose transaction may be the user’s', async () => {
    const { url } = await aSchema();
    const client = await aClient(url);
    const queries = vi.spyOn(client, 'query');
    const store = postgresStore(client);
    await Promise.all(numbers.slice(0, 5).map((i) => store.claim(`k${i}`, 'a', minute)));
    const keys = queries.mock.calls.map(([query]) => (query as unknown as pg.QueryConfig).values?.[0]);
    expect(keys.filter((key) => key !== undefined)).toEqual(['k0', 'k1', 'k2', 'k3', 'k4']);
  });

  it('take turns of 64, because each holds a lock of the server', async () => {
    const { store, sizes } = await aStore();
    await Promise.all(Array.from({ length: 200 }, (_, i) => store.claim(`k${i}`, 'a', minute)));
    expect(sizes()).toEqual([1, 64, 64, 64, 7]);
  });
});
