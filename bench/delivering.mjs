// How much an outbox delivers a second, beside BullMQ on a private Redis, at the same concurrency.
import { createServer } from 'node:http';
import { startRedis } from '../test/support/servers.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, median, table } from './report.mjs';

const concurrencies = [4, 64];
const candidates = ['bullmq', 'outbox'];

export async function delivering(quick) {
  const { rounds, events } = quick ? { rounds: 3, events: 2_000 } : { rounds: 9, events: 5_000 };
  heading(`Delivered a second: ${rounds} rounds of ${events.toLocaleString('en')} waiting events`);
  const redis = await startRedis({ appendfsync: 'everysec' });
  const service = createServer((req, res) => req.resume().on('end', () => res.writeHead(204).end()));
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  const lines = [];
  for (const [sink, url] of [
    ['no-op', ''],
    ['HTTP', `http://127.0.0.1:${service.address().port}/events`],
  ]) {
    for (const concurrency of concurrencies) {
      lines.push({
        sink,
        concurrency,
        rates: await inRounds(rounds, { events, concurrency, url, redisUrl: redis.url }),
      });
    }
  }
  service.closeAllConnections();
  service.close();
  await redis.close();
  report(lines);
}

/** The first round only warms up. */
async function inRounds(rounds, settings) {
  const children = new Map(candidates.map((name) => [name, new Child('delivering-candidate.mjs', [name])]));
  const rates = { bullmq: [], outbox: [] };
  for (let round = 0; round <= rounds; round++) {
    for (const [name, child] of children) {
      const { ms } = await child.ask(settings);
      if (round > 0) rates[name].push(settings.events / (ms / 1_000));
    }
  }
  for (const child of children.values()) child.end();
  return rates;
}

function report(lines) {
  const rate = (values) => Math.round(median(values)).toLocaleString('en');
  for (const { sink, concurrency, rates } of lines) {
    for (const name of candidates) {
      keep({ name: `${name}, ${sink}, ${concurrency} at once`, value: median(rates[name]), unit: 'a second' });
    }
  }
  table(
    [
      ['', 'BullMQ', 'outbox'],
      ...lines.map(({ sink, concurrency, rates }) => [
        `${sink} sink, ${concurrency} at once`,
        rate(rates.bullmq),
        rate(rates.outbox),
      ]),
    ],
    ['left', 'right', 'right'],
  );
  console.log();
  goals(
    lines.map(({ sink, concurrency, rates }) => ({
      name: `outbox / BullMQ, ${sink}, ${concurrency} at once`,
      values: rates.outbox.map((value, round) => value / rates.bullmq[round]),
      atLeast: 1,
    })),
  );
}
