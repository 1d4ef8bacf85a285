/** What runs in the processes of processes.ts. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VastEvent } from '../../src/index.js';
import { type DigestEvent, digest, sqliteOutbox } from '../../src/sinks/index.js';
import { openSqlite, type SqliteClient } from '../support/sqlite.js';

export interface Task {
  readonly client: SqliteClient;
  readonly file: string;
  /** Where the sink writes down whom it tells. */
  readonly log: string;
  /**
   * `tell` or `hang` when told of an event, until disconnected. `fail` and let go of everything but the outbox. `die`
   * once the events are taken. `lock` the file until disconnected. `digest`: tell of all that comes within 5 s in one.
   */
  readonly role: 'tell' | 'hang' | 'fail' | 'die' | 'lock' | 'digest';
  readonly leaseMs?: number;
  /** The events that are delivered, all at a time, each until it is taken. */
  readonly ids?: readonly string[];
}

const { client, file, log, role, leaseMs, ids = [] } = JSON.parse(process.env.TASK ?? '') as Task;
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
        ? digest({ everyMs: 5_000 }, { name: 'slack', deliver: tellAll })
        : { name: 'slack', deliver: tell },
    ],
    // A lock is awaited for 250 ms: on a busy machine that may be too short, which is no failure.
    onError() {},
  });
  if (role !== 'fail') process.on('disconnect', () => outbox.close());
  await Promise.all(ids.map((id) => deliverUntilTaken(outbox, id)));
  if (role === 'die') process.kill(process.pid, 'SIGKILL');
}
process.send?.('ready');

async function tell(event: VastEvent): Promise<void> {
  appendFileSync(log, `begin ${event.event_id} ${process.pid}\n`);
  if (role === 'hang') await new Promise(() => {});
  if (role === 'fail') {
    // Told again before it has ended, on a busy machine.
    if (process.connected) process.disconnect();
    throw new Error('down');
  }
  await sleep(Math.random() * 10);
  appendFileSync(log, `end ${event.event_id} ${process.pid}\n`);
}

function tellAll(event: VastEvent | DigestEvent): void {
  appendFileSync(log, `begin ${event.event_id} ${process.pid}\n`);
  const { event_ids: ids = [event.event_id] } = event as Partial<DigestEvent>;
  appendFileSync(log, ids.map((id) => `end ${id} ${process.pid}\n`).join(''));
}

async function deliverUntilTaken(outbox: ReturnType<typeof sqliteOutbox>, id: string): Promise<void> {
  const event = { event_id: id, notif_type: 'outbid' } as VastEvent;
  const rawBody = Buffer.from(JSON.stringify(event));
  const delivery = { provider: 'vast', verified: true, id, attempt: 1, timestamp: 0, receivedAt: 0, rawBody };
  for (;;) {
    try {
      await outbox.deliver(event, { delivery, signal: new AbortController().signal });
      return;
    } catch {
      await sleep(20);
    }
  }
}
