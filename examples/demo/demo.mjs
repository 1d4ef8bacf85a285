import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { startGoogleChat, startSlack } from './chats.mjs';
import { deliveries } from './deliveries.mjs';
import { startExpress, startKoa } from './services.mjs';
import { printClosing, printIntroduction, printLine, printService } from './table.mjs';

const usage = `Usage: npm run demo [-- --slack-status <status>]

Sends signed Vast.ai deliveries to an Express and a Koa service, and prints what became of them.
  --slack-status <status>  let the stand-in for Slack fail with this HTTP status, such as 500`;

const secret = randomBytes(32).toString('hex');
const slack = await startSlack(slackStatus());
const googleChat = await startGoogleChat();
const lines = [];

printIntroduction();
for (const start of [startExpress, startKoa]) {
  const service = await start(secret, { slack: slack.url, googleChat: googleChat.url });
  printService(service);
  for (const delivery of deliveries(secret)) {
    const seen = await send(delivery, service);
    const line = { ...delivery, seen, isRight: JSON.stringify(seen) === JSON.stringify(delivery.expected) };
    printLine(line);
    lines.push(line);
  }
  await service.close();
}
printClosing(lines);
slack.close();
googleChat.close();
process.exitCode = lines.every(({ isRight }) => isRight) ? 0 : 1;

/** Sends a delivery, and returns the answer, its reason and the sinks that were delivered to. */
async function send({ id, headers, body }, { url, log, outcomes }) {
  const hearers = [slack, googleChat, log];
  for (const { heard } of hearers) heard.length = 0;
  outcomes.length = 0;
  const status = await post(url, headers, body);
  return {
    answered: [status, ...outcomes.map(({ reason, code, result }) => reason ?? code ?? result)].join(' '),
    delivered: hearers.flatMap(({ name, heard }) =>
      heard.map((text) => (text.includes(id) ? name : `${name} of another`)),
    ),
  };
}

async function post(url, headers, body) {
  try {
    const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 'no answer';
  }
}

function slackStatus() {
  try {
    const { values } = parseArgs({ options: { 'slack-status': { type: 'string' }, help: { type: 'boolean' } } });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const { 'slack-status': status } = values;
    if (status === undefined) return undefined;
    if (!/^[345][0-9]{2}$/.test(status)) throw new TypeError(`not the status of a failure: ${status}`);
    return Number(status);
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}
