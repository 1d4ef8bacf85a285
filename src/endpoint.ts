import { type Answer, answerTo } from './answer.js';
import { toError, toWebhookError, WebhookError } from './errors.js';
import { Forwarder } from './forward/forwarder.js';
import { InFlight } from './forward/in-flight.js';
import type { Forwarded, Handler, HandlerAnswer } from './forward/run.js';
import { type Settings, settingsOf, type WebhookOptions } from './options.js';
import { outcomeOf } from './outcome.js';
import type { Provider } from './providers/provider.js';
import { type OnBody, type RawBody, tooLarge } from './receive/body.js';
import type { Verified } from './receive/delivery.js';
import { type KeySource, keySource, type Secret, type SigningKey } from './receive/secrets.js';
import { checkHeaders, mismatch, type SignedHeaders } from './receive/signature.js';
import { type Authentic, findSigned, type Signed, toVerified, typeOf } from './receive/verify.js';

/** One request on the endpoint, as a front door presents it, and the ways to end it. */
export interface Exchange<Event> {
  readonly method: string | undefined;
  /** A header by its lower-case name. Of repeated ones, the values joined by commas. */
  header(name: string): string | undefined;
  /** Calls `done` once, as `readRawBody` does. */
  readBody(limit: number, timeoutMs: number, done: OnBody): void;
  answer(answer: Answer): void;
  /** Passes the event to the service's own handler, and tells how that answered. Does not throw. */
  handOn(verified: Verified<Event>, settle: (answer: HandlerAnswer) => void): void;
  /** Tells that the event which was handed on is settled in the store, or beyond that. */
  settled?(): void;
  /** Tells that work begins which may outlast the answer. Gives what to call when it has ended. */
  working?(): (() => void) | undefined;
}

/** What the middleware of every front door can do beside handling requests. */
export interface Closable {
  /** From now on 503 is answered. Resolves when what is in flight has settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where deliveries arrive: the same behind every front door. */
export class Endpoint<Event extends object> implements Closable {
  readonly settings: Settings<Event>;
  readonly provider: Provider<Event>;
  readonly keys: KeySource;
  readonly forwarder: Forwarder<Event>;
  readonly inFlight = new InFlight();

  constructor(provider: Provider<Event>, secret: Secret, options?: WebhookOptions<Event>) {
    this.provider = provider;
    this.keys = keySource(secret);
    this.settings = settingsOf(options);
    this.forwarder = new Forwarder({ ...this.settings, scope: 'receiver', inFlight: this.inFlight });
  }

  /** Answers the request, or hands it on. Does not throw. */
  serve(exchange: Exchange<Event>): void {
    new Passage(this, exchange).start();
  }

  close(timeoutMs?: number): Promise<void> {
    return this.inFlight.close(timeoutMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * One delivery's way from request to answer, the cheapest check first. Like the forwarder's runs it makes no promise
 * of its own; each step that is called back ends in `#end` whatever it throws.
 */
class Passage<Event extends object> {
  readonly #endpoint: Endpoint<Event>;
  readonly #exchange: Exchange<Event>;
  readonly #arrivedAt = performance.now();
  #receivedAt = 0;
  #authentic: Authentic | undefined;
  #verified: Verified<Event> | undefined;
  #type: string | undefined;

  constructor(endpoint: Endpoint<Event>, exchange: Exchange<Event>) {
    this.#endpoint = endpoint;
    this.#exchange = exchange;
  }

  get #deadlineAt(): number {
    return this.#arrivedAt + this.#endpoint.settings.deadlineMs;
  }

  start(): void {
    this.#endpoint.inFlight.enter();
    this.#step(() => {
      const headers = this.#checkHead();
      const { limit, bodyTimeoutMs, deadlineMs } = this.#endpoint.settings;
      this.#exchange.readBody(limit, Math.min(bodyTimeoutMs, deadlineMs), (error, body) => {
        if (error !== undefined) this.#fail(error);
        else this.#step(() => this.#verify(headers, body as RawBody, this.#endpoint.keys.known));
      });
    });
  }

  /** All that can be said before a byte of the body is read. */
  #checkHead(): SignedHeaders {
    const { provider, inFlight, settings } = this.#endpoint;
    const exchange = this.#exchange;
    if (inFlight.closing) throw new WebhookError('closing', 'the service is shutting down');
    if (exchange.method !== 'POST') {
      throw new WebhookError('method_not_allowed', `${exchange.method} on the endpoint, which takes POST only`);
    }
    this.#receivedAt = settings.now();
    if (!Number.isFinite(this.#receivedAt)) throw new TypeError('the option now gave something other than a time');
    const headers = checkHeaders(
      exchange.header(provider.headers.signature),
      exchange.header(provider.headers.timestamp),
      settings.toleranceSeconds,
      this.#receivedAt,
    );
    checkEncoding(exchange.header('content-encoding'));
    if (Number(exchange.header('content-length')) > settings.limit) throw tooLarge(settings.limit);
    return headers;
  }

  #verify(headers: SignedHeaders, body: RawBody, keys: readonly SigningKey[]): void {
    const signed = findSigned(keys, headers, body);
    if (signed !== undefined) {
      this.#forward(headers, signed);
      return;
    }
    const newer = this.#endpoint.keys.newer(this.#arrivedAt, this.#deadlineAt);
    if (newer === undefined) throw mismatch();
    newer.then(
      (newerKeys) => this.#step(() => this.#verify(headers, body, newerKeys)),
      (error) => this.#fail(error),
    );
  }

  #forward({ timestamp }: SignedHeaders, { key, bytes }: Signed): void {
    const { provider, forwarder, settings } = this.#endpoint;
    const attempt = this.#exchange.header(provider.headers.attempt);
    this.#authentic = { key, bytes, timestamp, attempt, receivedAt: this.#receivedAt };
    const verified = toVerified(provider, this.#authentic);
    this.#verified = verified;
    this.#type = typeOf(provider, verified.event);
    const handler: Handler | undefined = settings.handoff
      ? (settle) => this.#exchange.handOn(verified, settle)
      : undefined;
    const ended = this.#exchange.working?.();
    forwarder.forward(verified, this.#type, this.#deadlineAt, handler, (forwarded) => this.#end(forwarded), ended);
  }

  #step(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#end({ duplicate: false, error: toWebhookError(error) });
  }

  #end(forwarded: Forwarded): void {
    const { settings, inFlight } = this.#endpoint;
    const delivery = this.#verified?.delivery;
    if (forwarded.handlerStatus === undefined) this.#answer(forwarded, delivery?.id);
    else this.#exchange.settled?.();
    const durationMs = performance.now() - this.#arrivedAt;
    settings.onOutcome(outcomeOf(forwarded, this.#authentic, delivery, this.#type, durationMs));
    inFlight.leave();
  }

  #answer({ error, sinks }: Forwarded, id: string | undefined): void {
    try {
      this.#exchange.answer(answerTo(error?.code, error?.retryAfterMs, sinks));
    } catch (failure) {
      this.#endpoint.settings.onError(toError(failure), { id });
    }
  }
}

function checkEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity') return;
  throw new WebhookError('unsupported_encoding', 'the body is compressed, and the signature is over other bytes');
}
