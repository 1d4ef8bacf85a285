import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { postgresStore } from '../../src/stores/index.js';
import { signed } from '../support/adapters.js';
import { describeWithPrivatePostgres, uniqueName } from '../support/backends.js';
import { type PrivateServer, startPostgres } from '../support/servers.mjs';
import { aClient, aPool, withSettings } from './own-schema.js';
import { serveWith } from './service.js';

const minute = 60_000;
const acquired = { state: 'acquired', delivered: [] };

describeWithPrivatePostgres('postgresStore', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.close());

  const query = async (text: string) => (await aClient(server.url)).query(text);

  /** The URL of a role that may log in, with an empty schema that it may use. */
  async function aRole({ password = 'the-p4ssword' } = {}): Promise<{ role: string; schema: string; url: string }> {
    const role = uniqueName();
    const schema = `of_${role}`;
    await query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    await query(`CREATE SCHEMA ${schema}`);
    await query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
    const url = new URL(withSettings(server.url, { search_path: schema }));
    url.username = role;
    url.password = password;
    return { role, schema, url: url.href };
  }

  /** A pool on its defaults. */
  function defaultPool(url: string): pg.Pool {
    const pool = new pg.Pool({ connectionString: url }).on('error', () => {});
    onTestFinished(() => (pool.ended ? undefined : pool.end()));
    return pool;
  }

  describe('while Postgres is away, on a pool with its defaults', () => {
    const storeTimeoutMs = 200;

    it('frozen: 503 in time, late claims are released, and it is used again', async () => {
      const service = await serveWith(postgresStore(defaultPool((await aRoleThatMayCreate()).url)), { storeTimeoutMs });
      await service.takes();

      await server.freeze();
      onTestFinished(server.thaw);
      const event = signed();
      // More than the pool has connections, and more of them than one.
      const others = Array.from({ length: 12 }, () => service.deliver());
      await service.refuses(/no answer within 200 ms/, { message: event });
      expect(await Promise.all(others)).toEqual(others.map(() => 503));
      await service.refuses(/no answer within 200 ms/, { message: event });

      server.thaw();
      // Sooner than in the 30 seconds of the lease.
      await service.takes(event);
      await service.takes(event);
      expect(service.handled).toHaveLength(2);
    });

    it('frozen before its table is there: 503 in time, and it is used again', async () => {
      const service = await serveWith(postgresStore(defaultPool((await aRoleThatMayCreate()).url)), { storeTimeoutMs });
      await server.freeze();
      onTestFinished(server.thaw);
      for (let i = 0; i < 2; i++) await service.refuses(/no answer within 200 ms/);
      server.thaw();
      await service.takes();
    });

    it('stopped: 503 in time, and it is used again', async () => {
      const service = await serveWith(postgresStore(defaultPool((await aRoleThatMayCreate()).url)), { storeTimeoutMs });
      const [before, during] = [signed(), signed()];
      await service.takes(before);

      await server.stop();
      onTestFinished(() => (server.pid === undefined ? server.start() : undefined));
      for (let i = 0; i < 2; i++) await service.refuses(/failed to claim/, { message: during });

      await server.start();
      await service.takes(during);
      for (const event of [before, during]) await service.takes(event);
      expect(service.handled).toHaveLength(2);
    });

    it('down at the start: 503 with the reason, and it is used once it is up', async () => {
      const { url } = await aRoleThatMayCreate();
      await server.stop();
      onTestFinished(() => (server.pid === undefined ? server.start() : undefined));
      const service = await serveWith(postgresStore(defaultPool(url)));
      await service.refuses(/ECONNREFUSED/, { secrets: ['p4ssword'] });
      await server.start();
      await service.takes();
    });
  });

  describe('bad input', () => {
    it('a role that does not exist, until it does', async () => {
      const url = new URL(server.url);
      const role = uniqueName();
      url.username = role;
      url.password = 'the-p4ssword';
      const service = await serveWith(postgresStore(defaultPool(url.href)));
      await service.refuses(/role "\w+" does not exist/, { secrets: ['p4ssword'] });
      await query(`CREATE ROLE ${role} LOGIN SUPERUSER`);
      await service.takes();
    });

    it('a wrong password, until it is right', async () => {
      const { role, url } = await aRoleThatMayCreate();
      await asksForPasswords();
      await query(`ALTER ROLE ${role} PASSWORD 'another'`);
      const service = await serveWith(postgresStore(defaultPool(url)));
      await service.refuses(/password authentication failed for user/, { secrets: ['p4ssword'] });
      await query(`ALTER ROLE ${role} PASSWORD 'the-p4ssword'`);
      await service.takes();
    });

    it('a database that does not exist', async () => {
      const url = new URL(server.url);
      url.pathname = '/missing';
      const service = await serveWith(postgresStore(defaultPool(url.href)));
      await service.refuses(/database "missing" does not exist/);
    });

    it('a role that may create nothing, until there is a table, of which it needs no more', async () => {
      const { role, schema, url } = await aRole();
      const store = postgresStore(defaultPool(url));
      const service = await serveWith(store);
      await service.refuses(new RegExp(`permission denied for schema ${schema}`));

      await postgresStore(aPool(server.url), { schema }).claim('k', 'a', minute);
      await query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${schema}.vast_webhook TO ${role}`);
      await service.takes();
      for (let i = 0; i < 64; i++) expect(await store.claim(`k ${i}`, 'a', minute)).toEqual(acquired);
      expect(await store.renew('k 0', 'a', minute)).toBe(true);
      expect(await store.delivered('k 0', 'a', 'slack')).toBe(true);
      expect(await store.release('k 0', 'a', minute)).toBe(true);
    });

    it('a role that may only read', async () => {
      const { role, schema, url } = await aRole();
      await postgresStore(aPool(server.url), { schema }).claim('k', 'a', minute);
      await query(`GRANT SELECT ON ${schema}.vast_webhook TO ${role}`);
      const service = await serveWith(postgresStore(defaultPool(url)));
      await service.refuses(/permission denied for table vast_webhook/);
      await query(`GRANT INSERT, UPDATE ON ${schema}.vast_webhook TO ${role}`);
      await service.takes();
    });

    it('a server that may only be read, until it may be written', async () => {
      const { url } = await aRoleThatMayCreate();
      const pool = aPool(url, { max: 1 });
      const setReadOnly = async (state: 'on' | 'off') => {
        await query(`ALTER SYSTEM SET default_transaction_read_only = ${state}`);
        await query('SELECT pg_reload_conf()');
        await vi.waitFor(async () => {
          const { rows } = await pool.query('SHOW default_transaction_read_only');
          expect(rows).toEqual([{ default_transaction_read_only: state }]);
        });
      };
      const service = await serveWith(postgresStore(pool));
      await setReadOnly('on');
      onTestFinished(() => setReadOnly('off'));
      await service.refuses(/cannot execute CREATE TABLE in a read-only transaction/);
      await setReadOnly('off');
      await service.takes();
      await setReadOnly('on');
      await service.refuses(/cannot execute \w+ in a read-only transaction/);
      await setReadOnly('off');
      await service.takes();
    });

    it('a table of another shape, until it is gone', async () => {
      const { schema, url } = await aRoleThatMayCreate();
      const pool = defaultPool(url);
      await pool.query('CREATE TABLE vast_webhook (key text PRIMARY KEY, event json)');
      const service = await serveWith(postgresStore(pool));
      const advice =
        /the store's table belongs to something else \(column .* does not exist\): choose another table name/;
      for (let i = 0; i < 2; i++) await service.refuses(advice);
      await query(`DROP TABLE ${schema}.vast_webhook`);
      await service.takes();
    });

    it('a pool that is closed', async () => {
      const pool = defaultPool((await aRoleThatMayCreate()).url);
      const service = await serveWith(postgresStore(pool));
      await service.takes();
      await pool.end();
      await service.refuses(/Cannot use a pool after calling end on the pool/);
    });

    it('a client that is closed', async () => {
      const client = await aClient((await aRoleThatMayCreate()).url);
      const service = await serveWith(postgresStore(client));
      await service.takes();
      await client.end();
      await service.refuses(/closed/);
    });

    it('connections that are cut, which costs those in use a 503 at most', async () => {
      const pool = defaultPool((await aRoleThatMayCreate()).url);
      const service = await serveWith(postgresStore(pool));
      const event = signed();
      await service.takes(event);
      await query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
      await service.takes(event);
      await service.takes();
      expect(service.handled).toHaveLength(2);
    });
  });

  async function aRoleThatMayCreate(): ReturnType<typeof aRole> {
    const made = await aRole();
    await query(`GRANT CREATE ON SCHEMA ${made.schema} TO ${made.role}`);
    return made;
  }

  /** From then on, of all but the one who set it up. */
  async function asksForPasswords(): Promise<void> {
    const file = join(server.folder, 'data', 'pg_hba.conf');
    const trusting = readFileSync(file);
    writeFileSync(file, 'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n');
    await query('SELECT pg_reload_conf()');
    onTestFinished(async () => {
      writeFileSync(file, trusting);
      await query('SELECT pg_reload_conf()');
    });
  }
});
