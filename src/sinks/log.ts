import { type Sink, sinkName } from '../contracts/sink.js';
import { eventFormat } from '../providers/index.js';
import { type Check, checkOptions, isFunction } from '../util/check-options.js';

const write: Check = [isFunction, 'a function that takes a line: (line) => stream.write(line)'];

/** What `log` takes. */
export interface LogOptions {
  /** Names the sink in the store and in outcomes. */
  readonly name?: string;
  /** Takes the line, which ends with its only line break; a promise of it is awaited. Standard output without it. */
  readonly write?: (line: string) => unknown;
}

/**
 * Writes each event as one line of JSON: when it came in, provider, id, type, severity, the secret's label, attempt
 * and the event as sent. Nothing in an event can break the line or reach the terminal, and no secret stands in it.
 * Fails when the writing fails. Throws a `TypeError` for an option that nobody can have meant.
 */
export function log<Event extends object>(options: LogOptions = {}): Sink<Event> {
  checkOptions(options, { name: sinkName, write }, 'log');
  const { name = 'log', write: print = toStdout } = options;
  return {
    name,
    async deliver(event, { delivery }) {
      const { provider, id, webhook, attempt, receivedAt } = delivery;
      const { type, severity } = eventFormat(provider).summarize(event);
      const time = new Date(receivedAt).toISOString();
      await print(`${lineOf({ time, provider, id, type, severity, webhook, attempt, event })}\n`);
    },
  };
}

/**
 * JSON leaves some line breaks, controls of terminals (CSI is U+009B) and marks that change the direction of writing
 * as they are. All of them can stand in strings only.
 */
function lineOf(entry: object): string {
  return JSON.stringify(entry).replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function toStdout(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(line, (error) => (error ? reject(error) : resolve()));
  });
}
