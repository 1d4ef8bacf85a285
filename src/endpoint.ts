import { type Answer, answerTo } from './answer.js';
import { toError, toWebhookError, WebhookError } from './errors.js';
import { isPromise } from './forward/bounded-store.js';
import { Forwarder } from './forward/forwarder.js';
import { InFlight } from './forward/in-flight.js';
import type { Forwarded, HandlerAnswer } from './forward/run.js';
import { type Settings, settingsOf, type WebhookOptions } from './options.js';
import { outcomeOf } from './outcome.js';
import type { Provider } from './providers/provider.js';
import type { Verified } from './receive/delivery.js';
import { type RawBody, tooLarge } from './receive/raw-body.js';
import { type KeySource, keySource, type Secret } from './receive/secrets.js';
import { checkHeaders, mismatch } from './receive/signature.js';
import { type Authentic, findSigned, toVerified, typeOf } from './receive/verify.js';

/** One request on the endpoint, as a front door presents it, and the ways to end it. */
export interface Exchange<Event> {
  readonly method: string | undefined;
  /** A header by its lower-case name. Of repeated ones, the values joined by commas. */
  header(name: string): string | undefined;
  /** Throws what `readRawBody` throws. */
  readBody(limit: number, timeoutMs: number): RawBody | Promise<RawBody>;
  answer(answer: Answer): void;
  /** Passes the event to the service's own handler, and tells how that answered. Does not throw. */
  handOn(verified: Verified<Event>, settle: (answer: HandlerAnswer) => void): void;
}

/** What the middleware of every front door can do beside handling requests. */
export interface Closable {
  /** From now on 503 is answered. Resolves when what is in flight has settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The way of a delivery from request to answer, the same behind every front door. */
export class Endpoint<Event extends object> implements Closable {
  readonly settings: Settings<Event>;
  readonly #provider: Provider<Event>;
  readonly #keys: KeySource;
  readonly #forwarder: Forwarder<Event>;
  readonly #inFlight = new InFlight();

  constructor(provider: Provider<Event>, secret: Secret, options?: WebhookOptions<Event>) {
    this.#provider = provider;
    this.#keys = keySource(secret);
    this.settings = settingsOf(options);
    this.#forwarder = new Forwarder({ ...this.settings, scope: 'receiver', inFlight: this.#inFlight });
  }

  close(timeoutMs?: number): Promise<void> {
    return this.#inFlight.close(timeoutMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Answers the request, or hands it on. Never rejects. */
  async serve(exchange: Exchange<Event>): Promise<void> {
    const arrivedAt = performance.now();
    const { handoff, deadlineMs, onOutcome } = this.settings;
    let authentic: Authentic | undefined;
    let verified: Verified<Event> | undefined;
    let type: string | undefined;
    let forwarded: Forwarded;
    this.#inFlight.enter();
    try {
      authentic = await this.#authenticate(exchange, arrivedAt);
      const event = toVerified(this.#provider, authentic);
      verified = event;
      type = typeOf(this.#provider, event.event);
      const handler = handoff ? (settle: (answer: HandlerAnswer) => void) => exchange.handOn(event, settle) : undefined;
      forwarded = await this.#forwarder.forward(event, type, arrivedAt + deadlineMs, handler);
    } catch (error) {
      forwarded = { duplicate: false, error: toWebhookError(error) };
    }
    if (forwarded.handlerStatus === undefined) this.#answer(exchange, forwarded, verified?.delivery.id);
    onOutcome(outcomeOf(forwarded, authentic, verified?.delivery, type, performance.now() - arrivedAt));
    this.#inFlight.leave();
  }

  #answer(exchange: Exchange<Event>, { error, sinks }: Forwarded, id: string | undefined): void {
    try {
      exchange.answer(answerTo(error?.code, error?.retryAfterMs, sinks));
    } catch (failure) {
      this.settings.onError(toError(failure), { id });
    }
  }

  /** Lets only genuine requests through, the cheapest check first. Throws a `WebhookError`. */
  async #authenticate(exchange: Exchange<Event>, arrivedAt: number): Promise<Authentic> {
    const { toleranceSeconds, limit, bodyTimeoutMs, deadlineMs, now } = this.settings;
    const names = this.#provider.headers;
    if (this.#inFlight.closing) throw new WebhookError('closing', 'the service is shutting down');
    if (exchange.method !== 'POST') {
      throw new WebhookError('method_not_allowed', `${exchange.method} on the endpoint, which takes POST only`);
    }
    const receivedAt = now();
    if (!Number.isFinite(receivedAt)) throw new TypeError('the option now gave something other than a time');
    const headers = checkHeaders(
      exchange.header(names.signature),
      exchange.header(names.timestamp),
      toleranceSeconds,
      receivedAt,
    );
    checkEncoding(exchange.header('content-encoding'));
    if (Number(exchange.header('content-length')) > limit) throw tooLarge(limit);
    const read = exchange.readBody(limit, Math.min(bodyTimeoutMs, deadlineMs));
    const body = isPromise(read) ? await read : read;
    const deadlineAt = arrivedAt + deadlineMs;
    const known = this.#keys.keys(deadlineAt);
    let keys = isPromise(known) ? await known : known;
    for (;;) {
      const signed = findSigned(keys, headers, body);
      if (signed !== undefined)
        return { ...signed, timestamp: headers.timestamp, attempt: exchange.header(names.attempt), receivedAt };
      const newer = this.#keys.newer(arrivedAt, deadlineAt);
      if (newer === undefined) throw mismatch();
      keys = await newer;
    }
  }
}

function checkEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity') return;
  throw new WebhookError('unsupported_encoding', 'the body is compressed, and the signature is over other bytes');
}
