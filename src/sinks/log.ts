import { summarized } from '../contracts/delivery.js';
import { type Sink, sinkName } from '../contracts/sink.js';
import { type Check, checkOptions, isFunction } from '../util/check-options.js';
import { printableJson } from '../util/printable.js';

const write: Check = [isFunction, 'a function that takes a line: (line) => stream.write(line)'];

/** Options of `log`. */
export interface LogOptions {
  /** Names the sink in the store and in outcomes. */
  readonly name?: string;
  /** Writes the line, which ends with its only line break. May return a promise. Default: standard output. */
  readonly write?: (line: string) => unknown;
}

/**
 * Writes each event as one line of JSON: time of arrival, provider, id, whether the sender signed it, type, severity,
 * the secret's label, attempt and the event as sent. No text in an event can break the line or control the terminal. The line has no secret.
 * Fails if `write` fails. Throws a `TypeError` for an invalid option.
 */
export function log<Event extends object>(options: LogOptions = {}): Sink<Event> {
  checkOptions(options, { name: sinkName, write }, 'log');
  const { name = 'log', write: print = toStdout } = options;
  return {
    name,
    async deliver(event, { delivery }) {
      const { provider, id, verified, webhook, attempt, receivedAt } = delivery;
      const { type, severity } = summarized(event, delivery);
      const time = new Date(receivedAt).toISOString();
      await print(`${printableJson({ time, provider, id, verified, type, severity, webhook, attempt, event })}\n`);
    },
  };
}

function toStdout(line: string): Promise<void> {
  const { stdout } = process;
  // Workers have a console only.
  if (typeof stdout?.write !== 'function') return Promise.resolve(console.log(line.trimEnd()));
  return new Promise((resolve, reject) => {
    stdout.write(line, (error) => (error ? reject(error) : resolve()));
  });
}
