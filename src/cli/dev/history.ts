import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import type { LoggedDelivery } from './delivery-log.js';
import type { ForwardAnswer } from './forward.js';

export interface HistoryOptions {
  readonly path: string;
  /** How many deliveries are kept, in how many bytes. While it grows, the file may have twice as many bytes. */
  readonly kept: number;
  readonly keptBytes: number;
  /** Taken out of everything that is written. May grow. */
  readonly secrets: readonly string[];
  /** Called once, when the file cannot be written any more. */
  readonly onError: (error: NodeJS.ErrnoException) => void;
}

/** Headers that authorise, of the sender, a proxy or a tunnel. What Vast.ai sends proves nothing after five minutes. */
const secretHeader = /auth|cookie|token|secret|passw|key|credential|jwt|session/i;
const hidden = '[secret]';
/** Deliveries come in bursts, and each is put several times. */
const writeEveryMs = 100;

/**
 * Deliveries over restarts: a file of a JSON line each, of which the last line of a number counts. A line that was torn
 * is left out, and nothing is written behind it in the same line.
 */
export class History {
  readonly #options: HistoryOptions;
  readonly #waiting = new Map<number, LoggedDelivery>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** What earlier runs have left, the oldest first. Throws when the file cannot be used. */
  open(): LoggedDelivery[] {
    const deliveries = this.#read();
    this.#rewrite(deliveries.map(lineOf));
    return deliveries;
  }

  put(delivery: LoggedDelivery): void {
    if (this.#hasFailed) return;
    this.#waiting.set(delivery.number, delivery);
    this.#timer ??= setTimeout(() => this.flush(), writeEveryMs).unref();
  }

  #read(): LoggedDelivery[] {
    const { path, kept, keptBytes } = this.#options;
    const byNumber = new Map<number, LoggedDelivery>();
    for (const line of textOf(path).split('\n')) {
      const delivery = deliveryIn(line);
      if (delivery === undefined) continue;
      // Behind those that are older, although it was written before.
      byNumber.delete(delivery.number);
      byNumber.set(delivery.number, delivery);
    }
    const sorted = [...byNumber.values()].sort((a, b) => b.number - a.number).slice(0, kept);
    let bytes = 0;
    const fitting = sorted.filter((delivery) => {
      bytes += Buffer.byteLength(lineOf(delivery));
      return bytes <= keptBytes;
    });
    return fitting.reverse();
  }

  /** Resolves when all that was put is written. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = [...this.#waiting.values()].map((delivery) => lineOf(this.#withoutSecrets(delivery)));
    this.#waiting.clear();
    if (lines.length > 0) this.#writing = this.#writing.then(() => this.#append(lines.join('')));
    return this.#writing;
  }

  async #append(text: string): Promise<void> {
    const { path, keptBytes, onError } = this.#options;
    if (this.#hasFailed) return;
    try {
      await appendFile(path, text, { mode: 0o600 });
      this.#bytes += Buffer.byteLength(text);
      if (this.#bytes > 2 * keptBytes) this.#rewrite(this.#read().map(lineOf));
    } catch (error) {
      this.#hasFailed = true;
      onError(error as NodeJS.ErrnoException);
    }
  }

  /** By another file that takes its place, so that there is a whole one at any time, readable by its owner only. */
  #rewrite(lines: readonly string[]): void {
    const { path } = this.#options;
    const aside = `${path}.${process.pid}`;
    const text = lines.join('');
    try {
      writeFileSync(aside, text, { mode: 0o600, flag: 'wx' });
      renameSync(aside, path);
    } catch (error) {
      rmSync(aside, { force: true });
      throw error;
    }
    this.#bytes = Buffer.byteLength(text);
  }

  /** Of what others wrote: all other fields are words of ours. */
  #withoutSecrets(delivery: LoggedDelivery): LoggedDelivery {
    // A body may have them as JSON writes them.
    const forms = this.#options.secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
    const safe = (text: string) => forms.filter(Boolean).reduce((rest, form) => rest.replaceAll(form, hidden), text);
    const maybe = (text: string | undefined) => text && safe(text);
    const { headers, path, body, message, subject, id, type, sinks, forwarded } = delivery;
    const safeBody = safe(body);
    return {
      ...delivery,
      headers: headers.map(([name, value]) => [name, secretHeader.test(name) ? hidden : safe(value)]),
      path: safe(path),
      body: safeBody,
      message: maybe(message),
      subject: maybe(subject),
      id: maybe(id),
      type: maybe(type),
      sinks: Object.fromEntries(Object.entries(sinks).map(([name, fared]) => [name, safe(fared)])),
      forwarded: typeof forwarded === 'object' ? { ...forwarded, body: safe(forwarded.body), headers: {} } : forwarded,
      ...(safeBody !== body && { cannotResend: 'It cannot be sent again, because a secret was taken out of it.' }),
    };
  }
}

function lineOf(delivery: LoggedDelivery): string {
  return `${JSON.stringify({ ...delivery, isEarlier: true })}\n`;
}

/** What each history begins with. */
const beginning = '{"number":';

function textOf(path: string): string {
  try {
    if (!statSync(path).isFile()) throw unusable('EISDIR');
    const text = readFileSync(path, 'utf8');
    // Somebody may have named a file of their own, which would be overwritten.
    if (text !== '' && !text.startsWith(beginning)) throw unusable('no history of dev');
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function unusable(code: string): Error {
  return Object.assign(new Error(code), { code });
}

const texts = ['method', 'path', 'body'] as const;
const numbers = ['at', 'bytes', 'status', 'durationMs'] as const;
const flags = ['isBase64', 'isCut', 'permanent'] as const;
const maybeTexts = ['cannotResend', 'code', 'reason', 'message', 'id', 'type', 'subject'] as const;
const maybeNumbers = ['attempt', 'skewSeconds'] as const;
const results: readonly unknown[] = ['accepted', 'duplicate', 'rejected', 'failed'];
/** The last one that a `Date` can hold. */
const lastMs = 8.64e15;

const isText = (value: unknown) => typeof value === 'string';
const isMaybeText = (value: unknown) => value === undefined || isText(value);

/** Undefined for a line that was torn, or is of another program or version, so that nobody else has to look. */
function deliveryIn(line: string): LoggedDelivery | undefined {
  if (line === '') return undefined;
  try {
    const value = Object(JSON.parse(line)) as LoggedDelivery;
    const { number, at, result, headers, sinks, forwarded } = value;
    const isOne =
      Number.isSafeInteger(number) &&
      number > 0 &&
      number < Number.MAX_SAFE_INTEGER / 2 &&
      Math.abs(at) <= lastMs &&
      results.includes(result) &&
      texts.every((name) => isText(value[name])) &&
      numbers.every((name) => Number.isFinite(value[name])) &&
      flags.every((name) => typeof value[name] === 'boolean') &&
      maybeTexts.every((name) => isMaybeText(value[name])) &&
      maybeNumbers.every((name) => value[name] === undefined || Number.isFinite(value[name])) &&
      Array.isArray(headers) &&
      headers.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isText)) &&
      Object.values(Object(sinks)).every(isText);
    return isOne ? { ...value, sinks: Object(sinks), forwarded: settled(forwarded), isEarlier: true } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined, too, if the process ended before there was an answer. */
function settled(forwarded: LoggedDelivery['forwarded']): LoggedDelivery['forwarded'] {
  const { status, ms, body, error } = Object(forwarded) as Partial<ForwardAnswer>;
  if (!Number.isFinite(status) || !Number.isFinite(ms) || !isText(body) || !isMaybeText(error)) return undefined;
  return forwarded;
}
