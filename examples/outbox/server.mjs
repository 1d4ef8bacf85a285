import express from 'express';
import { vastWebhook, when } from 'vast-webhook';
import { slack, sqliteOutbox } from 'vast-webhook/sinks';

const { VAST_WEBHOOK_SECRET, SLACK_WEBHOOK_URL, OUTBOX_FILE = 'outbox.db', PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET || !SLACK_WEBHOOK_URL) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook and SLACK_WEBHOOK_URL to the Slack one.');
  process.exit(1);
}

const db = await open(OUTBOX_FILE); // for the outbox alone
const outbox = sqliteOutbox(db, {
  sinks: [
    when(['outbid', 'instance_*', 'low_credit', 'billing_failed'], slack(SLACK_WEBHOOK_URL)),
    async function audit(event, { delivery }) {
      console.log(`audit: ${event.notif_type} ${delivery.id}`);
    },
  ],
});
for await (const { id, sink, error } of outbox.deadLetters()) console.log(`dead letter of ${sink}: ${id}: ${error}`);

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, { sinks: [outbox] }); // 204 as soon as the event is on the disk
const app = express();
app.use(webhook);

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(10_000); // what is in flight is written and answered
    await outbox.close(10_000); // running deliveries finish; the rest stays in the file
    db.close();
  });
}

/** The SQLite that Node.js brings along from 22.13 on, and better-sqlite3 before. */
async function open(file) {
  const builtIn = process.getBuiltinModule?.('node:sqlite');
  if (builtIn) return new builtIn.DatabaseSync(file);
  const { default: Database } = await import('better-sqlite3');
  return new Database(file);
}
