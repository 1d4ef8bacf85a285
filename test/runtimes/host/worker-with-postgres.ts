/** A worker with a client of Postgres, which connects in each call, as docs/reference/stores.md says. */
import pg from 'pg';
import { type Postgres, postgresStore } from '../../../src/stores/index.js';
import type { Host } from './control.js';
import { workerOf } from './worker.js';

export default workerOf(({ DATABASE_URL }) => {
  const perCall: Postgres = {
    async query(query) {
      const client = new pg.Client({ connectionString: DATABASE_URL });
      await client.connect();
      try {
        return await client.query(query);
      } finally {
        await client.end();
      }
    },
  };
  const table = `workers_${Date.now()}`;
  const stores: Host['stores'] = { 'postgresStore over pg': () => postgresStore(perCall, { prepare: false, table }) };
  return DATABASE_URL === '' ? {} : stores;
});
