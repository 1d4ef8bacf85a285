import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type IdempotencyStore,
  type Outcome,
  type Secret,
  type Sink,
  type SinkError,
  type VastWebhook,
  vastWebhook,
  type WebhookOptions,
} from 'vast-webhook';
import type { ApiOptions } from 'vast-webhook/api';
import { type AlertOptions, type Outbox, sqliteOutbox } from 'vast-webhook/sinks';
import type { CliContext } from '../shared/context.js';
import { toError } from '../shared/errors.js';
import { listen, stopListening } from '../shared/listen.js';
import { atMostEvery } from '../shared/print.js';
import { startCatchUp } from './catch-up.js';
import type { ReceiverLog } from './log.js';
import { checkWritable, readiness } from './readiness.js';
import { openSqliteFile, unusable } from './sqlite-file.js';
import { statusPages } from './status-pages.js';
import { openStore } from './store-from-url.js';

/** A setting, and where it was given: a flag, a variable, or a key of a config. */
export interface Placed<Value = string> {
  readonly where: string;
  readonly value: Value;
}

export interface ReceiverSettings {
  readonly secret: Secret;
  readonly sinks: readonly Sink[];
  /** As `--store`, or one that a config has made. */
  readonly store: Placed<string | IdempotencyStore>;
  /** A file, if events are written to it before they are delivered to the sinks. */
  readonly outbox?: Placed;
  /** Hears of sinks behind the outbox that keep failing. */
  readonly alert?: AlertOptions;
  /** Whether to deliver dead letters again. */
  readonly redeliver: boolean;
  readonly host: string;
  readonly port: number;
  /** The endpoint; undefined for every path, as the guides' adapters have it, whose users register the bare address. */
  readonly path: string | undefined;
  /** The largest body, as the middleware's `limit`. */
  readonly limit: NonNullable<WebhookOptions['limit']>;
  /** Further options of the middleware, from a config. */
  readonly webhook: WebhookOptions;
  /** How to call the API, if events of the inbox are delivered, too. */
  readonly catchUp?: ApiOptions;
  /** Whether to answer `GET /metrics`. */
  readonly metrics: boolean;
}

/** The endpoint of the middleware, which senders usually have. */
const defaultPath = '/vast/webhooks';

/** How long running work may take to end, in milliseconds. Container hosts wait 10 s before they kill. */
const closeWithinMs = 9_000;
/** How long a worker that is being replaced still listens. A connection that is idle for so long is hardly in use. */
const handOverMs = 1_000;
const idleEveryMs = 50;
/** How long the store may take, unless a config says otherwise. */
const usualStoreTimeoutMs = 2_000;
/** How often a line is written for deliveries that anybody can send. */
const forgeriesEveryMs = 10_000;

/** Receives deliveries until it is interrupted. Throws a `CliError` when it cannot. */
export async function receive(settings: ReceiverSettings, log: ReceiverLog, io: CliContext): Promise<void> {
  const closers: (() => unknown)[] = [];
  const { worker, interrupted } = io;
  try {
    const store = await openStore(settings.store, io.cwd, (reason) => log.note('error', `the store: ${reason}`));
    closers.push(store.close);
    const { sinks, outbox, checkOutbox } = await withOutbox(settings, log, io, closers);
    const { webhook } = settings;
    const { storeTimeoutMs = usualStoreTimeoutMs } = webhook;
    const logOutcome = outcomes(log);
    const hook = vastWebhook(settings.secret, {
      ...webhook,
      path: settings.path,
      limit: settings.limit,
      store: store.store,
      sinks,
      storeTimeoutMs,
      onOutcome(outcome) {
        logOutcome(outcome);
        return webhook.onOutcome?.(outcome);
      },
      onError(error, about) {
        log.note('error', error.message, aboutOf(about));
        return webhook.onError?.(error, about);
      },
    });
    const metrics = settings.metrics ? (await import('./metrics.js')).measure(outbox, worker) : undefined;
    if (metrics !== undefined) closers.push(metrics.close);
    const checks = { store_unavailable: store.check, ...(checkOutbox && { outbox_unavailable: checkOutbox }) };
    const answerElsewhere = statusPages({
      unready: readiness(checks, storeTimeoutMs),
      closing: interrupted,
      metrics,
      onChange: (unready) => {
        if (unready === undefined) log.note('info', 'ready again');
        else log.note('warn', `not ready: ${unready.reason}`, { code: unready.code });
      },
    });
    const server = createServer((req, res) => {
      if (worker?.replaced.aborted) res.setHeader('Connection', 'close');
      if (settings.path === undefined) {
        if (req.method !== 'POST') {
          answerElsewhere(req, res);
          return;
        }
        // Every path is the endpoint, and the middleware has no mount to find that out from.
        req.url = defaultPath;
      }
      hook(req, res, () => answerElsewhere(req, res));
    });
    const { catchUp } = settings;
    if (catchUp !== undefined) {
      const start = () => closers.push(startCatchUp(hook, catchUp, log));
      if (worker === undefined) start();
      else worker.onLead(() => interrupted.aborted || start());
    }
    // Longer than proxies keep theirs, so that none sends on a connection that is being closed here.
    server.keepAliveTimeout = 75_000;
    await listen(server, settings);
    log.note(...greeting(server, settings, store.label));
    await Promise.race([interrupted, ...(worker ? [worker.replaced] : [])].map(abortion));
    log.note('info', 'closing');
    if (!interrupted.aborted) await handOver(server, interrupted);
    await close(server, hook, outbox);
    await worker?.leave();
  } finally {
    for (const end of closers.reverse()) await end();
  }
}

async function withOutbox(
  { outbox: placed, alert, redeliver, sinks }: ReceiverSettings,
  log: ReceiverLog,
  { cwd }: CliContext,
  closers: (() => unknown)[],
): Promise<{ sinks: readonly Sink[]; outbox?: Outbox; checkOutbox?: () => void }> {
  if (placed === undefined) return { sinks };
  const { where, value: file } = placed;
  const db = openSqliteFile(where, file, cwd);
  closers.push(() => db.close());
  const outbox: Outbox = sqliteOutbox(db, {
    sinks: sinks.map((sink) => watched(sink, log, () => waitingFor(outbox, sink.name))),
    alert,
    onError: (error, about) => log.note('error', `${about.sink ?? 'the outbox'}: ${error.message}`, aboutOf(about)),
  });
  // Also when nothing comes of listening: it must not find its file closed.
  closers.push(() => outbox.close(500));
  try {
    // Without those of sinks that are gone, which the outbox reports itself, and which are not delivered again.
    const dead = (await outbox.stats()).reduce((sum, each) => sum + (each.orphaned ? 0 : each.dead), 0);
    if (redeliver) {
      outbox.redeliver().then(
        (count) => log.note('info', `dead letters that are delivered again: ${count}`),
        (error) => log.note('error', `not all dead letters are delivered again: ${error.message}`),
      );
    } else if (dead > 0) log.note('warn', `dead letters in ${file}: ${dead}; --redeliver delivers them again`);
  } catch (error) {
    throw unusable(where, resolve(cwd, file), error);
  }
  const isOnDisk = existsSync(resolve(cwd, file));
  const checkOutbox = () => {
    // Writes to a deleted file succeed, and are gone with the process.
    if (isOnDisk && !existsSync(resolve(cwd, file)))
      throw new Error('the file of the outbox was deleted: start serve again');
    checkWritable(db);
  };
  return { sinks: [outbox], outbox, checkOutbox };
}

/**
 * A sink behind an outbox, where no outcome shows how it fares. The first of its failures is noted, and the end of
 * them, with how many events wait for it in the file, whichever process has written them.
 */
function watched(sink: Sink, log: ReceiverLog, waiting: () => Promise<number | undefined>): Sink {
  let isFailing = false;
  return {
    name: sink.name,
    concurrency: sink.concurrency,
    accepts: sink.accepts?.bind(sink),
    flush: sink.flush?.bind(sink),
    async deliver(event, context) {
      try {
        await sink.deliver(event, context);
      } catch (error) {
        const { message, permanent } = toError(error) as SinkError;
        // What is given up is reported by the outbox.
        if (permanent !== true && !isFailing) {
          isFailing = true;
          const waits = 'its events wait in the outbox, and are tried again';
          const fields = { sink: sink.name, event_id: context.delivery.id };
          void waiting().then((count) => {
            log.note('warn', `${sink.name}: ${message}; ${waits}`, { ...fields, waiting: count });
          });
        }
        throw error;
      }
      if (!isFailing) return;
      isFailing = false;
      // Without awaiting it, because a crash before the delivery is recorded would repeat it.
      void waiting().then((due = 1) => {
        // This event is still one of them.
        const count = Math.max(0, due - 1);
        const left = count === 0 ? 'no event waits any more' : `events that wait: ${count}`;
        log.note('info', `${sink.name} takes events again; ${left}`, { sink: sink.name, waiting: count });
      });
    },
  };
}

/** Undefined where the file cannot be read at the moment: a note is not worth an error. */
async function waitingFor(outbox: Outbox, sink: string): Promise<number | undefined> {
  try {
    return (await outbox.stats()).find((each) => each.sink === sink)?.due;
  } catch {
    return undefined;
  }
}

export function aboutOf({ id, type, sink }: { id?: string; type?: string; sink?: string }): Record<string, unknown> {
  return { event_id: id, type, sink };
}

/** What anybody can send gets no line each: a flood of it would fill the disk, and hide everything else. */
function outcomes(log: ReceiverLog): (outcome: Outcome) => void {
  const forged = atMostEvery(forgeriesEveryMs, log.outcome);
  return (outcome) => {
    if (outcome.result === 'rejected' || (outcome.result === 'failed' && outcome.id === undefined)) forged(outcome);
    else log.outcome(outcome);
  };
}

function greeting(server: Server, { host, path, sinks, outbox, alert, catchUp }: ReceiverSettings, store: string) {
  const { port } = server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${path ?? defaultPath}`;
  const names = sinks.map(({ name }) => name);
  const through = outbox === undefined ? '' : ' through the outbox';
  const elsewhere = path === undefined ? ' and every other path' : '';
  const alerts = alert === undefined ? '' : `; alerts to ${alert.sink.name}`;
  const inbox = catchUp === undefined ? '' : '; catching up with the inbox';
  const message = `listening on ${url}${elsewhere}, delivering to ${names.join(', ')}${through}; store: ${store}${alerts}${inbox}`;
  return ['info', message, { url, sinks: names, store, outbox: outbox?.value, alert: alert?.sink.name }] as const;
}

async function abortion(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/**
 * Leaves the deliveries to another worker that listens already, without refusing one. At first each answer ends its
 * connection, so that those that are in use end between two requests.
 */
async function handOver(server: Server, interrupted: AbortSignal): Promise<void> {
  const patience = { signal: interrupted };
  let closingIdle: NodeJS.Timeout | undefined;
  try {
    await sleep(handOverMs, undefined, patience);
    const closed = once(server, 'close', patience);
    server.close();
    // An answer that began before the hand-over keeps its connection open.
    closingIdle = setInterval(() => server.closeIdleConnections(), idleEveryMs);
    await Promise.race([closed, sleep(closeWithinMs, undefined, patience)]);
  } catch {
    // All workers are ending.
  } finally {
    clearInterval(closingIdle);
  }
}

/** Accepts nothing new, drains running work, and then closes all connections. */
async function close(server: Server, hook: VastWebhook, outbox: Outbox | undefined): Promise<void> {
  const startedAt = performance.now();
  const leftMs = () => Math.max(500, closeWithinMs - (performance.now() - startedAt));
  const endConnections = stopListening(server);
  await hook.close(leftMs());
  await outbox?.close(leftMs());
  await endConnections();
}
