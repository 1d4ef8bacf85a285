// A service with one store, in front of nothing, on a loopback port.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { vastWebhook } from 'vast-webhook';
import { memoryStore } from 'vast-webhook/stores';
import { serve } from './child.mjs';
import { path, secret } from './deliveries.mjs';

const [name, url] = process.argv.slice(2);

const makers = {
  memory: () => memoryStore(),
  'Postgres, together': async () => (await postgres()).together,
  'Postgres, one by one': async () => (await postgres()).oneByOne,
};

async function postgres() {
  const [{ default: pg }, { postgresStore }] = await Promise.all([import('pg'), import('vast-webhook/stores')]);
  const pool = new pg.Pool({ connectionString: url, max: 64 });
  return {
    together: postgresStore(pool),
    // A client that is no pool gets a statement for each call.
    oneByOne: postgresStore({ query: (query) => pool.query(query) }),
  };
}

const hook = vastWebhook(secret, {
  path,
  store: await makers[name](),
  sinks: [async function audit() {}],
  onOutcome() {},
});
const server = createServer((req, res) => hook(req, res, () => res.writeHead(404).end()));
await once(server.listen(0, '127.0.0.1'), 'listening');

let since = process.cpuUsage();

/** Sends the port, and the CPU time since the last request. */
serve(() => {
  const { user, system } = process.cpuUsage(since);
  since = process.cpuUsage();
  return { port: server.address().port, cpuMs: (user + system) / 1000 };
});
