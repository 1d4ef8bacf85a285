import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { IdempotencyStore } from '../../src/contracts/store.js';
import { type Postgres, postgresStore } from '../../src/stores/index.js';
import { anEvent, listen, secret, signed } from '../support/adapters.js';
import { describeWithPostgres, uniqueName } from '../support/backends.js';
import { remoteStore } from '../support/remote-store.js';
import { conformsInOneProcess } from './conforms.js';
import { afterQuery, type CostsArgs, costsService, freePort } from './factories/costs-service.js';
import { make, type PostgresArgs, postgresClients } from './factories/postgres.js';
import { aClient, aPool, aSchema, type OwnSchema, ownSchema, withSettings } from './own-schema.js';

const factories = new URL('factories/postgres.ts', import.meta.url);
const minute = 60_000;
const day = 24 * 60 * minute;
const acquired = { state: 'acquired', delivered: [] };
const completed = { state: 'completed' };
const inFlight = { state: 'in_flight', retryAfterMs: expect.any(Number) };

describeWithPostgres('postgresStore', () => {
  describe.each(postgresClients)('on %s', (_, args) => {
    let schema: OwnSchema;
    beforeAll(async () => {
      schema = await ownSchema();
    });
    afterAll(() => schema?.drop());

    conformsInOneProcess(make, () => ({ ...args, url: schema.url }));
  });

  describe('its table', () => {
    it('is made by the first call, and of 64 first claims by 6 processes exactly one wins', async () => {
      const { url } = await aSchema();
      const stores = await Promise.all(
        Array.from({ length: 6 }, (_, i) =>
          remoteStore(factories, 'make', { url, client: i % 2 ? 'Pool' : 'Client' } satisfies PostgresArgs),
        ),
      );
      onTestFinished(async () => {
        await Promise.all(stores.map((store) => store.close()));
      });
      const claims = Array.from({ length: 64 }, (_, i) =>
        (stores[i % 6] as IdempotencyStore).claim('k', `racer ${i}`, minute),
      );
      const states = (await Promise.all(claims)).map(({ state }) => state);
      expect(states.filter((state) => state === 'acquired')).toHaveLength(1);
      expect(states.filter((state) => state === 'in_flight')).toHaveLength(63);
    });

    it('is made by the first call, however close the others are', async () => {
      const { url } = await aSchema();
      const pools = Array.from({ length: 8 }, () => aPool(url));
      await Promise.all(pools.map((pool) => pool.query('SELECT 1')));
      for (let i = 0; i < 10; i++) {
        const stores = pools.map((pool) => postgresStore(pool, { table: `events ${i}` }));
        const claims = await Promise.all(stores.map((store, racer) => store.claim('k', `${racer}`, minute)));
        expect(claims.filter(({ state }) => state === 'acquired')).toHaveLength(1);
      }
    });

    it('is created again after it was dropped', async () => {
      const { url } = await aSchema();
      const pool = aPool(url);
      const store = postgresStore(pool);
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      await pool.query('DROP TABLE vast_webhook');
      await expect(store.claim('k', 'a', minute)).rejects.toThrow('relation "vast_webhook" does not exist');
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
    });

    const oddNames = [
      'Upper Case',
      'a.b',
      '"quoted"',
      "it's",
      "it''s",
      '$1',
      '%I',
      'back\\slash',
      'order',
      ' ',
      '; DROP SCHEMA public',
      'x'.repeat(63),
      `${'x'.repeat(62)}y`,
      '名'.repeat(21),
    ];

    it.each(oddNames)('may be named %j', async (table) => {
      const { url, name } = await aSchema();
      const pool = aPool(url);
      const store = postgresStore(pool, { table });
      expect(await store.claim('k', 'a', minute)).toEqual(acquired);
      expect(await store.complete('k', 'a', minute)).toBe(true);
      // Another does not take it for missing.
      expect(await postgresStore(pool, { table }).claim('k', 'b', minute)).toEqual(completed);
      expect(await tablesOf(pool, name)).toEqual([table]);
    });

    it('is shared with no store of another name, and has its own index of expired rows', async () => {
      const { url, name } = await aSchema();
      const pool = aPool(url);
      for (const table of oddNames) {
        expect(await postgresStore(pool, { table }).claim('k', 'a', minute)).toEqual(acquired);
      }
      const { rows } = await pool.query(
        'SELECT tablename, count(*)::int FROM pg_indexes WHERE schemaname = $1 GROUP BY 1',
        [name],
      );
      expect(rows.map(({ tablename }) => tablename).sort()).toEqual(oddNames.toSorted());
      expect(rows.map(({ count }) => count)).toEqual(oddNames.map(() => 2));
    });

    it.each(['Upper Case', '"quoted"', "it's.x"])('may be in a schema named %j', async (suffix) => {
      const { url, name } = await aSchema();
      const pool = aPool(url);
      const schema = `${name} ${suffix}`;
      const quoted = `"${schema.replaceAll('"', '""')}"`;
      await pool.query(`CREATE SCHEMA ${quoted}`);
      onTestFinished(async () => void (await (await aClient(url)).query(`DROP SCHEMA ${quoted} CASCADE`)));
      expect(await postgresStore(pool, { schema }).claim('k', 'a', minute)).toEqual(acquired);
      expect(await postgresStore(pool).claim('k', 'a', minute)).toEqual(acquired);
      expect(await postgresStore(pool, { schema }).claim('k', 'b', minute)).toEqual(inFlight);
      expect(await tablesOf(pool, schema)).toEqual(['vast_webhook']);
    });

    it('cannot be made in a schema that is not there', async () => {
      const { url } = await aSchema();
      const store = postgresStore(aPool(url), { schema: `${uniqueName()} missing` });
      await expect(store.claim('k', 'a', minute)).rejects.toThrow(/schema "\w+ missing" does not exist/);
    });

    it.each(['table', 'schema'])('`%s` cannot be empty, too long, with a zero or no text: a TypeError', (option) => {
      const pool = { query: () => Promise.reject(new Error()) } as Postgres;
      for (const name of ['', 'x'.repeat(64), '名'.repeat(22), 'a\0b', 5, null]) {
        expect(() => postgresStore(pool, { [option]: name })).toThrow(
          new TypeError(`postgresStore: the option ${option} must be a name of 1 to 63 bytes`),
        );
      }
    });

    it.each([undefined, null, {}, 'postgres://127.0.0.1'])('the client cannot be %j: a TypeError', (client) => {
      expect(() => postgresStore(client as unknown as Postgres)).toThrow(
        new TypeError('postgresStore: client must be a pool or client of pg'),
      );
    });

    it('is swept without a wait for the rows that another transaction has locked', async () => {
      const { url } = await aSchema();
      const [pool, other] = [aPool(url), await aClient(url)];
      const first = postgresStore(pool);
      for (const key of ['locked', 'free']) await first.claim(key, 'a', 1);
      await age(pool, 2 * day);
      await other.query('BEGIN');
      await other.query("SELECT key FROM vast_webhook WHERE key = 'locked' FOR UPDATE");
      // The first claim sweeps.
      vi.spyOn(Math, 'random').mockReturnValueOnce(0.999);
      await postgresStore(pool).claim('new', 'a', minute);
      expect((await keys(pool)).sort()).toEqual(['locked', 'new']);
    });

    it('is kept small without a separate job: claims delete expired rows, and no others', async () => {
      const { url } = await aSchema();
      const pool = aPool(url);
      const store = postgresStore(pool);
      for (let i = 0; i < 20; i++) {
        for (const kind of ['held', 'completed', 'released']) await store.claim(`${kind} ${i}`, 'a', 3 * day);
        await store.complete(`completed ${i}`, 'a', 4 * day);
        for (const kind of ['held', 'released']) await store.delivered(`${kind} ${i}`, 'a', 'slack');
        await store.release(`released ${i}`, 'a', 4 * day);
      }
      const claim64 = async () => {
        for (let i = 0; i < 64; i++) {
          await store.claim('another', 'a', 1);
          await store.complete('another', 'a', minute);
        }
      };

      await age(pool, 4 * day - minute);
      await claim64();
      for (const kind of ['held', 'released']) {
        expect(await store.claim(`${kind} 0`, 'b', 1)).toEqual({ state: 'acquired', delivered: ['slack'] });
      }
      expect(await store.claim('completed 0', 'b', 1)).toEqual(completed);

      await age(pool, 2 * day);
      await claim64();
      expect(await keys(pool)).toEqual(['another']);
    });

    it('is also kept small by stores that live for one event each', async () => {
      const { url } = await aSchema();
      const pool = aPool(url);
      await postgresStore(pool).claim('old', 'a', 1);
      await age(pool, 3 * day);
      for (let i = 0; (await keys(pool)).includes('old'); i++) {
        expect(i).toBeLessThan(2_000);
        await postgresStore(pool).claim(`new ${i}`, 'a', minute);
      }
    });
  });

  describe('a database whose default is another isolation', () => {
    it.each(['repeatable read', 'serializable'])(
      '%s: no call fails that was not repeated for as long as a call has, though Postgres undoes many',
      async (isolation) => {
        const { url } = await aSchema();
        const default_transaction_isolation = isolation.replace(' ', '\\ ');
        // Five calls at once on one row take turns at its lock.
        const ofIsolation = withSettings(url, { default_transaction_isolation, lock_timeout: '0' });
        const stores = [0, 1].map(() => postgresStore(aPool(ofIsolation, { max: 8 })));
        // How often one is undone on a busy machine, nobody can say. Like the engine, we then ask again.
        const ask = async <T>(call: () => T | PromiseLike<T>): Promise<T> => {
          for (;;) {
            const askedAt = performance.now();
            try {
              return await call();
            } catch (error) {
              expect(error).toMatchObject({ code: '40001' });
              expect(performance.now() - askedAt).toBeGreaterThan(1_500);
            }
          }
        };
        const deliver = async (id: number) => {
          const [store, other] = [stores[id % 2], stores[(id + 1) % 2]] as [IdempotencyStore, IdempotencyStore];
          const key = `k ${id}`;
          expect(await ask(() => store.claim(key, 'a', minute))).toEqual(acquired);
          const calls = [ask(() => store.renew(key, 'a', minute)), ask(() => other.renew(key, 'a', minute))];
          for (const sink of ['slack', 'audit', 'mail']) calls.push(ask(() => store.delivered(key, 'a', sink)));
          expect(await Promise.all(calls)).toEqual(calls.map(() => true));
          expect(await ask(() => store.release(key, 'a', minute))).toBe(true);
          expect(await ask(() => other.claim(key, 'b', minute))).toMatchObject({ state: 'acquired' });
          expect(await ask(() => other.complete(key, 'b', minute))).toBe(true);
        };
        for (let round = 0; round < 5; round++) {
          await Promise.all(Array.from({ length: 24 }, (_, i) => deliver(24 * round + i)));
        }
      },
    );

    it('a claim that was undone is not refused for the lock of its own undone attempt', async () => {
      const { url } = await aSchema();
      const [pool, undone] = [aPool(url), await aClient(url)];
      await postgresStore(pool).claim('k', 'a', minute);
      await postgresStore(pool).release('k', 'a', minute);
      let isFirst = true;
      const query = async (text: Parameters<Postgres['query']>[0]) => {
        if (!isFirst || !text.text.includes('INSERT')) return pool.query(text);
        isFirst = false;
        await undone.query('BEGIN');
        await undone.query(text);
        // Postgres sends the error before it ends the transaction.
        setTimeout(() => undone.query('ROLLBACK'), 50);
        throw Object.assign(new Error('could not serialize access'), { code: '40001' });
      };
      expect(await postgresStore({ query }).claim('k', 'b', minute)).toEqual(acquired);
      expect(isFirst).toBe(false);
    });

    it('in a transaction of the user’s: the error is the one that names the conflict, at once', async () => {
      const { url } = await aSchema();
      const [client, another] = [await aClient(url), aPool(url)];
      await postgresStore(another).claim('k', 'a', minute);
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await client.query('SELECT * FROM vast_webhook');
      await postgresStore(another).renew('k', 'a', minute);
      await expect(postgresStore(client).complete('k', 'a', minute)).rejects.toMatchObject({ code: '40001' });
      await client.query('ROLLBACK');
    });
  });

  it('a pool that returns every value as text works', async () => {
    const { url } = await aSchema();
    const store = postgresStore(aPool(url, { types: { getTypeParser: () => String } as never }));
    expect(await store.claim('k', 'a', minute)).toEqual(acquired);
    expect(await store.delivered('k', 'a', 'slack')).toBe(true);
    expect(await store.release('k', 'a', minute)).toBe(true);
    expect(await store.claim('k', 'b', minute)).toEqual({ state: 'acquired', delivered: ['slack'] });
    expect(await store.claim('k', 'c', minute)).toEqual(inFlight);
    expect(await store.complete('k', 'b', minute)).toBe(true);
    expect(await store.claim('k', 'c', minute)).toEqual(completed);
  });

  it.each([
    ['has lost it', () => 'DEALLOCATE ALL'],
    ['has another’s of its name', (name: string) => `PREPARE "${name}" AS SELECT 1`],
  ])('a connection that %s, as behind a pooler: the error names `prepare: false`', async (_, change) => {
    const client = await aClient((await aSchema()).url);
    const names: string[] = [];
    const store = postgresStore({
      query(query) {
        if (query.name !== undefined) names.push(query.name);
        return client.query(query);
      },
    });
    await store.claim('k', 'a', minute);
    const isLost = change('') === 'DEALLOCATE ALL';
    if (!isLost) {
      // The next statement that the store prepares exists already.
      const probe = postgresStore({
        query: async (query) => {
          names.push(query.name ?? '');
          return { rows: [{ name: 't' }], rowCount: 1 };
        },
      });
      await probe.renew('k', 'a', minute);
    }
    await client.query(change(names.at(-1) ?? ''));
    const call = isLost ? store.claim('k', 'a', minute) : store.renew('k', 'a', minute);
    await expect(call).rejects.toThrow(/give postgresStore the option prepare: false/);
    expect(await postgresStore(client, { prepare: false }).claim('k', 'a', minute)).toEqual(acquired);
  });

  describe('a claim waits for no other transaction', () => {
    interface Situation {
      /** The earlier calls, by the holder `b` or others. */
      readonly before?: (store: IdempotencyStore, client: pg.Client) => Promise<unknown>;
      /** The call of `b` in a transaction. */
      readonly during: (store: IdempotencyStore, client: pg.Client) => Promise<unknown>;
      readonly afterRollback: object;
      readonly afterCommit: object;
    }

    const bClaims = (store: IdempotencyStore) => store.claim('k', 'b', minute) as Promise<unknown>;
    const bClaimsAndTells = async (store: IdempotencyStore) => {
      await bClaims(store);
      await store.delivered('k', 'b', 'slack');
    };
    const cHeldIt = async (store: IdempotencyStore) => {
      await store.claim('k', 'c', 1);
      await sleep(5);
    };
    const situations: Readonly<Record<string, Situation>> = {
      'that claims a new event': { during: bClaims, afterRollback: acquired, afterCommit: inFlight },
      'that claims an event whose lease ran out': {
        before: cHeldIt,
        during: bClaims,
        afterRollback: acquired,
        afterCommit: inFlight,
      },
      'that claims and completes a new event': {
        during: async (store) => {
          await bClaims(store);
          await store.complete('k', 'b', minute);
        },
        afterRollback: acquired,
        afterCommit: completed,
      },
      'that completes an event': {
        before: bClaims,
        during: async (store) => store.complete('k', 'b', minute),
        afterRollback: inFlight,
        afterCommit: completed,
      },
      'that releases an event': {
        before: bClaimsAndTells,
        during: async (store) => store.release('k', 'b', minute),
        afterRollback: inFlight,
        afterCommit: { state: 'acquired', delivered: ['slack'] },
      },
      'that renews a lease that ran out': {
        before: async (store) => {
          await store.claim('k', 'b', 1);
          await sleep(5);
        },
        during: async (store) => store.renew('k', 'b', minute),
        afterRollback: acquired,
        afterCommit: inFlight,
      },
      'that records a sink': {
        before: bClaims,
        during: async (store) => store.delivered('k', 'b', 'slack'),
        afterRollback: inFlight,
        afterCommit: inFlight,
      },
      'that has deleted what had expired': {
        before: async (store, client) => {
          await bClaims(store);
          await store.complete('k', 'b', 1);
          await age(client, 2 * day);
        },
        during: async (store, client) => {
          for (let i = 0; i < 64; i++) await store.claim('something else', 'b', minute);
          expect(await keys(client)).not.toContain('k');
        },
        afterRollback: acquired,
        afterCommit: acquired,
      },
    };

    it.each(Object.entries(situations))('%s', async (_, { before, during, afterRollback, afterCommit }) => {
      const { url } = await aSchema();
      const ours = postgresStore(aPool(url));
      await ours.claim('the table is there', 'a', minute);
      const client = await aClient(url);
      const theirs = postgresStore(client);

      for (const [end, after] of [
        ['ROLLBACK', afterRollback],
        ['COMMIT', afterCommit],
      ] as const) {
        await client.query('DELETE FROM vast_webhook');
        await before?.(theirs, client);
        await client.query('BEGIN');
        await during(theirs, client);
        const claims = Array.from({ length: 8 }, (_, i) => ours.claim('k', `racer ${i}`, minute));
        expect(await Promise.all(claims)).toEqual(claims.map(() => inFlight));
        expect(await ours.claim('another', end, minute)).toEqual(acquired);
        await client.query(end);
        expect(await ours.claim('k', 'a', minute)).toEqual(after);
      }
    });

    it('however many transactions are open, each of an event of its own', async () => {
      const { url } = await aSchema();
      const ours = postgresStore(aPool(url));
      await ours.claim('the table is there', 'a', minute);
      const clients = await Promise.all(Array.from({ length: 5 }, () => aClient(url)));
      for (const [i, client] of clients.entries()) {
        await client.query('BEGIN');
        expect(await postgresStore(client).claim(`k ${i}`, 'b', minute)).toEqual(acquired);
      }
      for (const i of clients.keys()) expect(await ours.claim(`k ${i}`, 'a', minute)).toEqual(inFlight);
      await Promise.all(clients.map((client) => client.query('ROLLBACK')));
      for (const i of clients.keys()) expect(await ours.claim(`k ${i}`, 'a', minute)).toEqual(acquired);
    });
  });

  describe('writes together with the event, as in docs/reference/stores.md', () => {
    const factory = new URL('factories/costs-service.ts', import.meta.url);

    async function setUp() {
      const { url } = await aSchema();
      const pool = aPool(url);
      await pool.query('CREATE TABLE costs (subject text)');
      const written = async () => (await pool.query('SELECT subject FROM costs')).rows.map(({ subject }) => subject);
      return { url, pool, written };
    }

    /** The service in this process: its address. */
    async function served(pool: pg.Pool): Promise<number> {
      const server = createServer(costsService(pool, secret));
      onTestFinished(() => {
        server.closeAllConnections();
        server.close();
      });
      return listen(server);
    }

    async function send(port: number, event: object): Promise<number> {
      const { headers, body } = signed(event, { timestamp: Math.floor(Date.now() / 1_000) });
      const { status } = await fetch(`http://127.0.0.1:${port}/vast/webhooks`, { method: 'POST', headers, body });
      return status;
    }

    it('are written once, however often the event arrives, in whatever process', async () => {
      const { url, pool, written } = await setUp();
      const ports = await Promise.all([served(pool), served(aPool(url))]);
      const event = anEvent({ subject: 'outbid' });
      const statuses = await Promise.all(Array.from({ length: 8 }, (_, i) => send(ports[i % 2] as number, event)));
      expect(statuses).toContain(204);
      for (const port of ports) expect(await send(port, event)).toBe(204);
      expect(await written()).toEqual(['outbid']);
    });

    it.each(['COMMIT', 'INSERT INTO costs'])('are written once when the handler fails after %s', async (query) => {
      const { url, pool, written } = await setUp();
      const failing = aPool(url);
      let failures = 1;
      afterQuery(failing, query, () => {
        if (failures-- > 0) throw new Error('connection lost');
      });
      const [port, restarted] = await Promise.all([served(failing), served(pool)]);
      const event = anEvent({ subject: 'outbid' });
      expect(await send(port, event)).toBe(500);
      expect(await written()).toEqual(query === 'COMMIT' ? ['outbid'] : []);
      for (const each of [port, restarted, port]) expect(await send(each, event)).toBe(204);
      expect(await written()).toEqual(['outbid']);
    });

    it('are written once when the connection breaks during the transaction, which does not end the process', async () => {
      const { url, pool, written } = await setUp();
      const breaking = aPool(url);
      const backends: number[] = [];
      breaking.on('connect', (client) => backends.push((client as unknown as { processID: number }).processID));
      let breaks = 1;
      afterQuery(breaking, 'INSERT INTO costs', async () => {
        if (breaks-- <= 0) return;
        await pool.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [backends]);
        await sleep(200);
      });
      const port = await served(breaking);
      const event = anEvent({ subject: 'outbid' });
      expect(await send(port, event)).toBe(500);
      expect(await written()).toEqual([]);
      for (let i = 0; i < 2; i++) expect(await send(port, event)).toBe(204);
      expect(await written()).toEqual(['outbid']);
    });

    it.each(['COMMIT', 'INSERT INTO costs'] as const)(
      'are written once when the process dies after %s',
      async (query) => {
        const { url, pool, written } = await setUp();
        const port = await freePort();
        const service = await remoteStore(factory, 'make', { url, secret, port, dieAfter: query } satisfies CostsArgs);
        onTestFinished(() => service.close());
        const event = anEvent({ subject: 'outbid' });
        await expect(send(port, event)).rejects.toThrow('fetch failed');
        const restarted = await served(pool);
        // Postgres notices sooner or later that the client is gone.
        await vi.waitFor(async () => expect(await send(restarted, event)).toBe(204));
        expect(await written()).toEqual(['outbid']);
      },
    );
  });
});

async function tablesOf(pool: pg.Pool, schema: string): Promise<string[]> {
  const { rows } = await pool.query('SELECT tablename FROM pg_tables WHERE schemaname = $1', [schema]);
  return rows.map(({ tablename }) => tablename);
}

async function keys(client: pg.Pool | pg.Client): Promise<string[]> {
  return (await client.query('SELECT key FROM vast_webhook')).rows.map(({ key }) => key);
}

/** As if `ms` had passed: Postgres has a clock of its own. */
async function age(client: pg.Pool | pg.Client, ms: number): Promise<void> {
  const { rows } = await client.query(`
    SELECT column_name AS name FROM information_schema.columns
    WHERE table_schema = current_schema AND table_name = 'vast_webhook' AND data_type LIKE 'timestamp%'`);
  const changes = rows.map(({ name }) => `${name} = ${name} - interval '${ms} ms'`);
  await client.query(`UPDATE vast_webhook SET ${changes.join(', ')}`);
}
