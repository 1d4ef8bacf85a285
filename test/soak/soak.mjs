import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { backends } from './backends.mjs';
import { Child } from './child.mjs';
import { now } from './clock.mjs';
import { disturb, kill } from './faults.mjs';
import { journalsIn } from './journal.mjs';
import { Sender } from './sender.mjs';
import { SinkStandIn, usualFaults } from './sinks.mjs';

const leaseMs = 2_000;
const storeTimeoutMs = 500;
/** Well above what a busy machine holds this process up for: after a late answer the event is delivered again. */
const sinkTimeoutMs = 2_000;
const concurrency = 24;
/** How long nothing may happen before what is missing counts as lost. */
const patienceMs = 15_000;

/**
 * Sends events to a service in a process of its own while things go wrong, and reports all that was seen.
 * `service`: another script in place of the service. `onProgress` is called now and then with a line of text.
 */
export async function soak({
  backend,
  events = 2_000,
  seed = randomBytes(4).toString('hex'),
  kills = backends[backend].isDurable,
  faults = true,
  service: script = './service.mjs',
  scriptOptions = {},
  onProgress = () => {},
}) {
  const { isQueue, hasWorker, start } = backends[backend];
  const lag = monitorEventLoopDelay();
  lag.enable();
  const storage = await start();
  const journal = await mkdtemp(join(tmpdir(), 'vast-webhook-journal-'));
  /** What was on disk at a kill, where only the disk shows it. */
  const onDisk = [];
  const sinks = await Promise.all(
    ['slack', 'googleChat'].map((name) => new SinkStandIn(name, seed, faultsOf(backend, faults)).listen()),
  );
  const secret = randomBytes(16).toString('hex');
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const [slackUrlFor, googleChatUrlFor] = sinks.map((sink) => (life) => sink.urlFor(life));
  const configOf = (life) => ({
    ...storage.config,
    ...scriptOptions,
    backend,
    journal,
    secret,
    port,
    leaseMs,
    storeTimeoutMs,
    sinkTimeoutMs,
    concurrency,
    slackUrl: slackUrlFor(life),
    googleChatUrl: googleChatUrlFor(life),
  });
  const service = new Child(script, configOf);
  const children = hasWorker ? [service, new Child('./worker.mjs', configOf)] : [service];
  for (const child of children) {
    child.onKilled = async (life, at) => {
      for (const { event, sink } of await storage.recorded()) onDisk.push({ life, what: 'recorded', event, sink, at });
    };
  }
  const url = `http://127.0.0.1:${port}`;
  const sender = new Sender({ url: `${url}/vast/webhooks`, secret, seed });
  const outages = [];
  const pings = [];
  let isSent = false;
  const isOver = () => isSent;
  const withinMs = Math.max(3_000, events * 5);
  const startedAt = now();
  try {
    await Promise.all(children.map((child) => child.start()));
    const received = () => sinks.map(({ receipts }) => receipts.length);
    const progress = setInterval(() => {
      const killed = children.reduce((sum, child) => sum + child.kills.length, 0);
      const answered = sender.events.filter(({ answeredAt }) => answeredAt !== undefined).length;
      onProgress(
        `${backend}: ${answered} of ${events} answered, ${received().join(' and ')} received, ${killed} kills, ${outages.length} outages`,
      );
    }, 200);
    const pinging = ping(`${url}/ping`, pings, isOver);
    const trouble = [
      kills && kill({ children, sender, sinks, seed, times: Math.ceil(withinMs / 1_800), withinMs, isOver }),
      faults &&
        disturb({
          ...storage,
          record: outages,
          seed,
          storeTimeoutMs,
          times: Math.ceil(withinMs / 3_500),
          withinMs,
          isOver,
        }),
    ];
    const sending = sender.send(events, withinMs);
    sending.then(() => {
      isSent = true;
    });
    await patiently(isOver, () => sender.ended);
    sender.stop();
    await sending;
    await Promise.all([pinging, ...trouble]);
    await patiently(
      () => sinks.every((sink) => hasAll(sink, sender.events)),
      () => received().join(),
    );
    // For what comes too much.
    await sleep(leaseMs / 2);
    clearInterval(progress);
    const ended = await Promise.all(children.map((child) => child.end(30_000)));
    return {
      backend,
      isQueue,
      seed,
      leaseMs,
      storeTimeoutMs,
      concurrency,
      events: sender.events,
      attempts: sender.attempts,
      sinks: sinks.map(({ name, receipts, failures }) => ({ name, receipts, failures })),
      notes: [...onDisk, ...(await journalsIn(journal))].sort((a, b) => a.at - b.at),
      kills: children.flatMap(({ kills }) => kills),
      outages,
      pings: pings.map((ping) => ({ ...ping, wasUp: wasUp(service, ping) })),
      crashes: children.flatMap(({ crashes }) => crashes),
      closed: ended.every(Boolean),
      heldUpMs: lag.max / 1e6,
      seconds: (now() - startedAt) / 1000,
      log: children.flatMap(({ log }) => log),
    };
  } finally {
    isSent = true;
    sender.stop();
    await Promise.all(children.map((child) => child.end(0)));
    await Promise.all(sinks.map((sink) => sink.close()));
    await storage.close();
    await rm(journal, { recursive: true, force: true });
    lag.disable();
  }
}

/** Waits until it is so, as long as the figure goes on changing. */
async function patiently(isSo, figure) {
  let seen = figure();
  let since = now();
  while (!isSo() && now() - since < patienceMs) {
    await sleep(50);
    if (figure() === seen) continue;
    seen = figure();
    since = now();
  }
}

/** A queue leaves a sink alone for as long as it asks to be, all events together: seldom, or a run has no end. */
function faultsOf(backend, faults) {
  if (!faults) return {};
  return backends[backend].isQueue ? { ...usualFaults, busy: 0.002 } : usualFaults;
}

function hasAll({ receipts }, events) {
  const received = new Set(receipts.map(({ event }) => event));
  return events.every(({ id }) => received.has(id));
}

/** Asks the service's other route all the time. */
async function ping(url, record, isOver) {
  while (!isOver()) {
    const from = now();
    const isAnswered = await new Promise((resolve) => {
      get(url, { agent: false, timeout: 20_000 }, (res) => resolve(res.resume().statusCode === 200))
        .on('timeout', function () {
          this.destroy();
        })
        .on('error', () => resolve(false));
    });
    record.push({ from, to: now(), isAnswered });
    await sleep(50);
  }
}

function wasUp({ lives }, { from, to }) {
  return lives.some(({ readyAt = Number.POSITIVE_INFINITY, overAt = Number.POSITIVE_INFINITY }) => {
    return readyAt <= from && to <= overAt;
  });
}
