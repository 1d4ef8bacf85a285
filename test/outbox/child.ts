/** The program of the processes of processes.ts. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VastEvent } from '../../src/index.js';
import { type DigestEvent, digest, sqliteOutbox } from '../../src/sinks/index.js';
import { deliveryOf } from '../support/delivery.js';
import { openSqlite, type SqliteClient } from '../support/sqlite.js';

export interface Task {
  readonly client: SqliteClient;
  readonly file: string;
  /** The file where the sink logs its calls. */
  readonly log: string;
  /**
   * `deliver` events or `hang` at each, until disconnected. `fail` at each and keep nothing alive but the outbox. `die`
   * once the events are accepted. `lock` the file until disconnected. `digest` all events of a window into one.
   */
  readonly role: 'deliver' | 'hang' | 'fail' | 'die' | 'lock' | 'digest';
  readonly leaseMs?: number;
  /** Of the digest. */
  readonly windowMs?: number;
  /** The events to deliver, all at the same time, each until it is accepted. */
  readonly ids?: readonly string[];
}

const { client, file, log, role, leaseMs, windowMs = 5_000, ids = [] } = JSON.parse(process.env.TASK ?? '') as Task;
const db = openSqlite(client, file);

if (role === 'lock') {
  db.exec('PRAGMA busy_timeout = 10000');
  db.exec('BEGIN EXCLUSIVE');
  process.on('disconnect', () => db.exec('COMMIT'));
} else {
  const outbox = sqliteOutbox(db, {
    leaseMs,
    sinks: [
      role === 'digest'
        ? digest({ everyMs: windowMs }, { name: 'slack', deliver: deliverDigest })
        : { name: 'slack', deliver },
    ],
    // A lock is awaited for 250 ms: on a busy machine that may be too short, which is no failure.
    onError() {},
  });
  if (role !== 'fail') process.on('disconnect', () => outbox.close());
  await Promise.all(ids.map((id) => deliverUntilTaken(outbox, id)));
  if (role === 'die') process.kill(process.pid, 'SIGKILL');
}
process.send?.('ready');

async function deliver(event: VastEvent): Promise<void> {
  appendFileSync(log, `begin ${event.event_id} ${process.pid}\n`);
  if (role === 'hang') await new Promise(() => {});
  if (role === 'fail') {
    // On a busy machine the retry may come before this process has ended.
    if (process.connected) process.disconnect();
    throw new Error('down');
  }
  await sleep(Math.random() * 10);
  appendFileSync(log, `end ${event.event_id} ${process.pid}\n`);
}

function deliverDigest(event: VastEvent | DigestEvent): void {
  appendFileSync(log, `begin ${event.event_id} ${process.pid}\n`);
  const { event_ids: ids = [event.event_id] } = event as Partial<DigestEvent>;
  appendFileSync(log, ids.map((id) => `end ${id} ${process.pid}\n`).join(''));
}

async function deliverUntilTaken(outbox: ReturnType<typeof sqliteOutbox>, id: string): Promise<void> {
  const event = { event_id: id, notif_type: 'outbid' } as VastEvent;
  const delivery = deliveryOf(event, { id });
  for (;;) {
    try {
      await outbox.deliver(event, { delivery, signal: new AbortController().signal });
      return;
    } catch {
      await sleep(20);
    }
  }
}
