// A storm: many events at once into one service, whose chat takes one message a second.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { startRedis } from '../test/support/servers.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, table } from './report.mjs';
import { services } from './storm-services.mjs';

const connections = 64;
/** How long a service may deliver after the burst. The chat would need a day for 100,000 messages. */
const patienceMs = 10_000;
const digestPatienceMs = 180_000;
/** Of the sender, whose schedule is not known. */
const retryPausesMs = [5_000, 10_000, 20_000, 40_000];

/** Figures of a service, and the most that each may be. */
const figures = [
  { figure: 'p99', about: 'p99 answer', unit: 'ms', atMost: 250 },
  { figure: 'turn', about: 'longest turn', unit: 'ms', atMost: 50 },
  { figure: 'rss', about: 'peak RSS', unit: 'MB', atMost: 250 },
  { figure: 'timedOut', about: 'timed out', atMost: 0 },
  { figure: 'lost', about: 'lost', atMost: 0 },
];

/** `count` is how many events come in the burst. Only the services in `only` are measured, if there are any. */
export async function storm(quick, { count = quick ? 10_000 : 100_000, only = [] } = {}) {
  heading(
    `A storm of ${count.toLocaleString('en')} events over ${connections} connections; the chat takes one a second`,
  );
  const results = [];
  const redis = await startRedis({ appendfsync: 'everysec' });
  for (const [name, { about, retries = false, digests = false }] of Object.entries(services)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const events = retries ? count / 10 : count;
    const result = await one(
      [name, redis.url],
      events,
      retries ? retryPausesMs : [],
      digests ? digestPatienceMs : patienceMs,
    );
    results.push({ name, about, events, ...result });
    for (const each of figures) {
      if (each.unit) keep({ name: `${name}: ${each.about}`, value: result[each.figure], unit: each.unit, about });
    }
  }
  await redis.close();
  print(results);
  console.log();
  goals(
    results.flatMap(({ name, ...result }) =>
      figures.map(({ figure, about, unit, atMost }) => ({
        name: `${name}: ${about}`,
        values: [result[figure]],
        unit: unit && ` ${unit}`,
        digits: 0,
        atMost,
      })),
    ),
  );
}

async function one([name, redisUrl], events, pausesMs, waitMs) {
  const chat = await slowChat();
  const service = new Child('storm-server.mjs', [name, chat.url, redisUrl]);
  const sender = new Child('storm-sender.mjs');
  try {
    const { port } = await service.ask({});
    const sent = await sender.ask({ port, connections, events, pausesMs });
    const endsAt = performance.now() + waitMs;
    let seen = await service.ask({});
    while (seen.waiting > 0 && performance.now() < endsAt) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      seen = await service.ask({});
    }
    const { waiting, turnMs, turnCpuMs, rssMb, handled } = seen;
    const delivered = handled ?? chat.events;
    return {
      ...sent,
      delivered,
      messages: chat.messages,
      waiting,
      givenUp: events - sent.taken,
      lost: sent.taken - delivered - waiting,
      seconds: handled === undefined ? (chat.lastAt - sent.startedAt) / 1000 : sent.seconds,
      turn: turnMs,
      turnCpu: turnCpuMs,
      rss: rssMb,
    };
  } finally {
    sender.end();
    service.end();
    await chat.close();
  }
}

/** Takes one message a second, and answers 429 to others. Counts the events that the messages stand for. */
async function slowChat() {
  let nextAt = 0;
  const chat = { events: 0, messages: 0, lastAt: 0 };
  const server = createServer(async (req, res) => {
    const body = JSON.parse(await text(req));
    if (Date.now() < nextAt) return res.writeHead(429, { 'retry-after': '1' }).end();
    nextAt = Date.now() + 1_000;
    chat.events += Number(/^(\d+) notifications/.exec(body.text)?.[1] ?? 1);
    chat.messages++;
    chat.lastAt = Date.now();
    res.end('ok');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  chat.url = `http://127.0.0.1:${server.address().port}/services/T0/B0/storm`;
  chat.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return chat;
}

function print(results) {
  const whole = (value) => Math.round(value).toLocaleString('en');
  console.log();
  table(
    [
      [
        '',
        'events',
        'p99',
        'turn',
        'its CPU',
        'peak RSS',
        'timed out',
        'taken',
        'given up',
        'delivered',
        'messages',
        'within',
        'waiting',
        'lost',
        '',
      ],
      ...results.map((result) => [
        result.name,
        whole(result.events),
        `${whole(result.p99)} ms`,
        `${whole(result.turn)} ms`,
        `${whole(result.turnCpu)} ms`,
        `${whole(result.rss)} MB`,
        whole(result.timedOut),
        whole(result.taken),
        whole(result.givenUp),
        whole(result.delivered),
        whole(result.messages),
        `${whole(result.seconds)} s`,
        whole(result.waiting),
        whole(result.lost),
        result.about,
      ]),
    ],
    ['left', ...Array.from({ length: 13 }, () => 'right'), 'left'],
  );
  for (const { name, waves } of results.filter(({ waves }) => waves.length > 1)) {
    console.log(`\n  ${name}, by attempt of the sender`);
    table(
      waves.map(({ after, sent, taken }, index) => [
        `attempt ${index + 1}`,
        `after ${whole(after)} s`,
        `${whole(sent)} sent`,
        `${whole(taken)} taken`,
      ]),
      ['left', 'right', 'right', 'right'],
    );
  }
}
