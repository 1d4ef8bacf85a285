import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { type Secret, type Sink, type SinkError, type VastWebhook, vastWebhook } from 'vast-webhook';
import { type Outbox, sqliteOutbox } from 'vast-webhook/sinks';
import type { CliContext } from '../shared/context.js';
import { toError } from '../shared/errors.js';
import { listen, stopListening } from '../shared/listen.js';
import type { ReceiverLog } from './log.js';
import { openSqliteFile, unusable } from './sqlite-file.js';
import { openStore } from './store-from-url.js';

export interface ReceiverSettings {
  readonly secret: Secret;
  readonly sinks: readonly Sink[];
  readonly store: string;
  /** A file, if events are written to it before they are delivered to the sinks. */
  readonly outbox?: string;
  /** Whether to deliver dead letters again. */
  readonly redeliver: boolean;
  readonly host: string;
  readonly port: number;
  /** The endpoint; undefined for every path, as the guides' adapters have it, whose users register the bare address. */
  readonly path: string | undefined;
  /** The largest body, as the middleware's `limit`. */
  readonly limit: string;
}

/** How long running work may take to end, in milliseconds. Container hosts wait 10 s before they kill. */
const closeWithinMs = 9_000;

/** Receives deliveries until it is interrupted. Throws a `CliError` when it cannot. */
export async function receive(settings: ReceiverSettings, log: ReceiverLog, io: CliContext): Promise<void> {
  const closers: (() => unknown)[] = [];
  try {
    const store = await openStore(settings.store, io.cwd, (reason) => log.note('error', `the store: ${reason}`));
    closers.push(store.close);
    const { sinks, outbox } = withOutbox(settings, log, io, closers);
    const hook = vastWebhook(settings.secret, {
      path: settings.path,
      limit: settings.limit,
      store: store.store,
      sinks,
      onOutcome: log.outcome,
      onError: (error, about) => log.note('error', error.message, aboutOf(about)),
    });
    const server = createServer((req, res) => {
      if (settings.path === undefined && req.method !== 'POST') answerElsewhere(req, res);
      else hook(req, res, () => answerElsewhere(req, res));
    });
    // Longer than proxies keep theirs, so that none sends on a connection that is being closed here.
    server.keepAliveTimeout = 75_000;
    await listen(server, settings);
    log.note(...greeting(server, settings, store.label));
    await interruption(io.interrupted);
    log.note('info', 'closing');
    await close(server, hook, outbox);
  } finally {
    for (const end of closers.reverse()) await end();
  }
}

function withOutbox(
  { outbox: file, redeliver, sinks }: ReceiverSettings,
  log: ReceiverLog,
  { cwd }: CliContext,
  closers: (() => unknown)[],
): { sinks: readonly Sink[]; outbox?: Outbox } {
  if (file === undefined) return { sinks };
  const db = openSqliteFile('--outbox', file, cwd);
  closers.push(() => db.close());
  const outbox: Outbox = sqliteOutbox(db, {
    sinks: sinks.map((sink) => watched(sink, log, () => waitingFor(outbox, sink.name))),
    onError: (error, about) => log.note('error', `${about.sink ?? 'the outbox'}: ${error.message}`, aboutOf(about)),
  });
  // Also when nothing comes of listening: it must not find its file closed.
  closers.push(() => outbox.close(500));
  try {
    const dead = outbox.deadLetters().length;
    if (redeliver) log.note('info', `dead letters that are delivered again: ${outbox.redeliver()}`);
    else if (dead > 0) log.note('warn', `dead letters in ${file}: ${dead}; --redeliver delivers them again`);
  } catch (error) {
    throw unusable('--outbox', resolve(cwd, file), error);
  }
  return { sinks: [outbox], outbox };
}

/**
 * A sink behind an outbox, where no outcome shows how it fares. The first of its failures is noted, and the end of
 * them, with how many events wait for it in the file, whichever process has written them.
 */
function watched(sink: Sink, log: ReceiverLog, waiting: () => number | undefined): Sink {
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
          const fields = { sink: sink.name, event_id: context.delivery.id, waiting: waiting() };
          log.note('warn', `${sink.name}: ${message}; ${waits}`, fields);
        }
        throw error;
      }
      if (!isFailing) return;
      isFailing = false;
      // This event is still one of them.
      const count = Math.max(0, (waiting() ?? 1) - 1);
      const left = count === 0 ? 'no event waits any more' : `events that wait: ${count}`;
      log.note('info', `${sink.name} takes events again; ${left}`, { sink: sink.name, waiting: count });
    },
  };
}

/** Undefined where the file cannot be read at the moment: a note is not worth an error. */
function waitingFor(outbox: Outbox, sink: string): number | undefined {
  try {
    return outbox.stats().find((each) => each.sink === sink)?.due;
  } catch {
    return undefined;
  }
}

function aboutOf({ id, type, sink }: { id?: string; type?: string; sink?: string }): Record<string, unknown> {
  return { event_id: id, type, sink };
}

/** Beside the endpoint there is only the health check. */
function answerElsewhere(req: IncomingMessage, res: ServerResponse): void {
  const isHealth = req.url?.split('?')[0] === '/health' && (req.method === 'GET' || req.method === 'HEAD');
  const body = JSON.stringify(isHealth ? { ok: true } : { ok: false, error: 'not_found' });
  res.writeHead(isHealth ? 200 : 404, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
  // What is left of a body must not hold up the next request.
  req.resume();
}

function greeting(server: Server, { host, path, sinks, outbox }: ReceiverSettings, store: string) {
  const { port } = server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${path ?? '/vast/webhooks'}`;
  const names = sinks.map(({ name }) => name);
  const through = outbox === undefined ? '' : ' through the outbox';
  const elsewhere = path === undefined ? ' and every other path' : '';
  const message = `listening on ${url}${elsewhere}, delivering to ${names.join(', ')}${through}; store: ${store}`;
  return ['info', message, { url, sinks: names, store, outbox }] as const;
}

async function interruption(interrupted: AbortSignal): Promise<void> {
  if (!interrupted.aborted) await once(interrupted, 'abort');
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
