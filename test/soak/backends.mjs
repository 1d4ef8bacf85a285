// What the service keeps its knowledge in, and the ways in which that goes away.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { startPostgres, startRedis } from '../support/servers.mjs';

/**
 * `isQueue`: a 2xx means that the event is kept, not that all sinks have it. `start` gives what the service must
 * know, the outages, each a function that lasts for some milliseconds, `recorded`, which reads what is on record where
 * the service cannot note it, as `{ event, sink }`, and `close`.
 */
export const backends = {
  memory: { isQueue: false, isDurable: false, start: nothing },
  sqlite: { isQueue: false, isDurable: true, start: () => sqliteFile() },
  redis: { isQueue: false, isDurable: true, start: () => server(startRedis) },
  postgres: { isQueue: false, isDurable: true, start: () => server(startPostgres) },
  outbox: { isQueue: true, isDurable: true, start: () => sqliteFile(recordedIn) },
  'bullmq-redis': { isQueue: true, isDurable: true, hasWorker: true, start: () => server(startRedis) },
  'bullmq-postgres': { isQueue: true, isDurable: true, hasWorker: true, start: () => server(startPostgres) },
};

async function nothing() {
  return { config: {}, outages: {}, recorded: noRecords, close: async () => {} };
}

async function server(start) {
  const running = await start();
  const down = async (signal, ms) => {
    await running.stop(signal);
    await sleep(ms);
    await running.start();
  };
  return {
    config: { url: running.url },
    outages: {
      stopped: (ms) => down('SIGTERM', ms),
      killed: (ms) => down('SIGKILL', ms),
      async frozen(ms) {
        await running.freeze();
        await sleep(ms);
        running.thaw();
      },
    },
    recorded: noRecords,
    close: () => running.close(),
  };
}

async function noRecords() {
  return [];
}

/** Of an outbox. It must not wait in SQLite: whoever has locked the file waits for this process. */
async function recordedIn(file) {
  for (;;) {
    const db = new Database(file, { timeout: 0 });
    try {
      const isThere = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'vast_webhook_outbox'").get();
      if (isThere === undefined) return [];
      return db.prepare("SELECT event_id AS event, sink FROM vast_webhook_outbox WHERE state = 'told'").all();
    } catch (error) {
      if (!error.code?.startsWith('SQLITE_BUSY')) throw error;
    } finally {
      db.close();
    }
    await sleep(20);
  }
}

async function sqliteFile(recorded = noRecords) {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-soak-'));
  const file = join(folder, 'soak.sqlite');
  return {
    config: { file },
    recorded: () => recorded(file),
    outages: {
      // By another process, since within one a file's locks are shared.
      async locked(ms) {
        const locker = fork(fileURLToPath(new URL('locker.mjs', import.meta.url)), [file], { execArgv: [] });
        const exit = once(locker, 'exit');
        await Promise.race([once(locker, 'message'), exit]);
        if (locker.connected) {
          await sleep(ms);
          locker.disconnect();
        }
        const [status] = await exit;
        if (status !== 0) throw new Error(`the locker of the SQLite file ended with ${status}`);
      },
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
