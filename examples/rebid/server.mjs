import express from 'express';
import { vastWebhook } from 'vast-webhook';
import { vastApi } from 'vast-webhook/api';
import { createRebid } from './rebid.mjs';

const {
  VAST_WEBHOOK_SECRET,
  VAST_API_KEY,
  BID_CEILING,
  SLACK_WEBHOOK_URL,
  BID_MARGIN = '0.01',
  WAIT_SECONDS = '60',
  REBID_FILE = 'rebid.db',
  VAST_API_URL,
  PORT = '8787',
} = process.env;
const [ceiling, margin, waitSeconds] = [BID_CEILING, BID_MARGIN, WAIT_SECONDS].map(Number);
if (!VAST_WEBHOOK_SECRET || !VAST_API_KEY || !SLACK_WEBHOOK_URL || !(ceiling > 0 && margin >= 0 && waitSeconds > 0)) {
  console.error(
    'Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook, VAST_API_KEY to a key that may manage instances, BID_CEILING to the highest bid in dollars an hour, and SLACK_WEBHOOK_URL to where reports go.',
  );
  process.exit(1);
}

const db = await open(REBID_FILE);
const rebid = createRebid({
  db,
  api: vastApi({ apiKey: VAST_API_KEY, ...(VAST_API_URL && { baseUrl: VAST_API_URL }) }),
  ceiling,
  margin,
  waitMs: waitSeconds * 1000,
  async say(text) {
    console.log(text);
    const response = await fetch(SLACK_WEBHOOK_URL, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ text: text.replace(/[&<>]/g, (mark) => `&#${mark.charCodeAt(0)};`) }),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`Slack answered ${response.status}`);
  },
});

const webhook = vastWebhook(VAST_WEBHOOK_SECRET, { sinks: [rebid.sink] }); // 204 as soon as the outbid is on the disk
const app = express();
app.use(webhook);

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close();
    await webhook.close(10_000);
    await rebid.close(); // a bid that is being set is waited for
    db.close();
  });
}

/** The SQLite that Node.js brings along from 22.13 on, and better-sqlite3 before. Two processes would bid twice. */
async function open(file) {
  const builtIn = process.getBuiltinModule?.('node:sqlite');
  const Database = builtIn ? builtIn.DatabaseSync : (await import('better-sqlite3')).default;
  const db = new Database(file);
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT');
    return db;
  } catch (error) {
    console.error(`Cannot lock ${file}: is another process using it? ${error.message}`);
    process.exit(1);
  }
}
