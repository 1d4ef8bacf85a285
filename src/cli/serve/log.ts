import type { Outcome, Sink } from 'vast-webhook';
import type { CliContext } from '../shared/context.js';
import { jsonLogLine, type Level } from '../shared/log-line.js';
import { coloursFor, printable, printLine } from '../shared/print.js';

export type LogFormat = 'json' | 'text';
/** What `serve` writes to standard output: a line for each thing that happens. */
export interface ReceiverLog {
  note(level: Level, message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** `leftOut` is how many of its kind went without a line before it. */
  outcome(outcome: Outcome, leftOut?: number): void;
  /** A sink that writes each event as it was sent, so that `replay` can send it again. */
  readonly events: Sink;
}

/**
 * `secrets` are taken out of whatever others say in their errors. `names` of sinks stay: people have chosen them, and a
 * part of an address may be the same word. Both lists may grow.
 */
export function receiverLog(
  io: CliContext,
  format: LogFormat,
  secrets: readonly string[],
  names: readonly string[] = [],
): ReceiverLog {
  const safe = (text: string) => secrets.reduce((rest, secret) => withoutSecret(rest, secret, names), text);
  return format === 'json' ? jsonLog(io, safe) : textLog(io, safe);
}

function jsonLog(io: CliContext, safe: (text: string) => string): ReceiverLog {
  const worker = io.worker?.id;
  const write = (level: Level, message: string, fields: object = {}) =>
    printLine(io, jsonLogLine(level, safe(message), { worker, ...fields }));
  return {
    note: write,
    outcome(outcome, leftOut) {
      const { result, status, code, reason, permanent, id, type, webhook, attempt, source, durationMs, error } =
        outcome;
      write(levelOf(outcome), result, {
        result,
        status,
        code,
        reason,
        permanent,
        event_id: id,
        type,
        webhook,
        attempt,
        source: source === 'inbox' ? source : undefined,
        duration_ms: Math.round(durationMs * 10) / 10,
        skew_s: outcome.skewSeconds,
        sinks: outcome.sinks && mapped(outcome.sinks, (sink) => (typeof sink === 'string' ? sink : safe(sink.message))),
        error: error && safe(error.message),
        left_out: leftOut || undefined,
      });
    },
    events: {
      name: 'log',
      deliver(event, { delivery }) {
        const rawBody = delivery.rawBody.toString('base64');
        write('info', 'event', { event, delivery: { ...delivery, rawBody } });
      },
    },
  };
}

/** Takes a secret out, but not where it is a whole name or a part of one. */
function withoutSecret(text: string, secret: string, names: readonly string[]): string {
  if (!text.includes(secret)) return text;
  const kept = names.filter((name) => name.includes(secret));
  if (kept.length === 0) return text.replaceAll(secret, '[secret]');
  const isName = new RegExp(`(?<![\\w/.-])(${kept.map(escaped).join('|')})(?![\\w/.-])`);
  // With a group, so that every second part is a name.
  return text
    .split(isName)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll(secret, '[secret]')))
    .join('');
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function mapped<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function textLog(io: CliContext, safe: (text: string) => string): ReceiverLog {
  const { green, yellow, red, dim } = coloursFor(io);
  const paint = { info: (text: string) => text, warn: yellow, error: red };
  const worker = io.worker === undefined ? '' : `${dim(`worker ${io.worker.id}:`)} `;
  const write = (line: string) => printLine(io, `${dim(new Date().toISOString())} ${worker}${line}`);
  return {
    note: (level, message) => write(paint[level](printable(safe(message)))),
    outcome(outcome, leftOut = 0) {
      const level = levelOf(outcome);
      const word = level === 'info' ? green(outcome.result) : paint[level](outcome.result);
      write(
        `${word} ${printable(safe(detailsOf(outcome)))}${leftOut === 0 ? '' : ` (${leftOut} more like it were left out)`}`,
      );
    },
    events: {
      name: 'log',
      deliver({ notif_type, event_id, subject, message }) {
        write(printable(`event ${notif_type} ${event_id}: ${subject} - ${message}`));
      },
    },
  };
}

function detailsOf(outcome: Outcome) {
  const { status, code, reason, permanent, result, id, type, webhook, source, durationMs, sinks, error } = outcome;
  const results = Object.entries(sinks ?? {}).map(
    ([name, sink]) => `${name} ${typeof sink === 'string' ? sink : 'failed'}`,
  );
  return [
    [
      status,
      type,
      id,
      webhook && `(${webhook})`,
      source === 'inbox' && 'from the inbox',
      `in ${Math.round(durationMs)} ms`,
    ]
      .filter(Boolean)
      .join(' '),
    results.join(', '),
    code &&
      [code, reason && `(${reason})`, permanent && result === 'failed' && '- the event is lost']
        .filter(Boolean)
        .join(' '),
    error?.message,
  ]
    .filter(Boolean)
    .join(': ');
}

function levelOf({ result }: Outcome): Level {
  if (result === 'failed') return 'error';
  return result === 'rejected' ? 'warn' : 'info';
}
