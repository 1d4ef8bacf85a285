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

/** `secrets` are taken out of whatever others say in their errors. */
export function receiverLog(io: CliContext, format: LogFormat, secrets: readonly string[]): ReceiverLog {
  const safe = (text: string) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[secret]'), text);
  return format === 'json' ? jsonLog(io, safe) : textLog(io, safe);
}

function jsonLog(io: CliContext, safe: (text: string) => string): ReceiverLog {
  const write = (level: Level, message: string, fields: object = {}) =>
    printLine(io, jsonLogLine(level, safe(message), fields));
  return {
    note: write,
    outcome(outcome, leftOut) {
      const { result, status, code, reason, permanent, id, type, webhook, attempt, durationMs, error } = outcome;
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

function mapped<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function textLog(io: CliContext, safe: (text: string) => string): ReceiverLog {
  const { green, yellow, red, dim } = coloursFor(io);
  const paint = { info: (text: string) => text, warn: yellow, error: red };
  const write = (line: string) => printLine(io, `${dim(new Date().toISOString())} ${line}`);
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

function detailsOf({ status, code, reason, permanent, result, id, type, webhook, durationMs, sinks, error }: Outcome) {
  const results = Object.entries(sinks ?? {}).map(
    ([name, sink]) => `${name} ${typeof sink === 'string' ? sink : 'failed'}`,
  );
  return [
    [status, type, id, webhook && `(${webhook})`, `in ${Math.round(durationMs)} ms`].filter(Boolean).join(' '),
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
