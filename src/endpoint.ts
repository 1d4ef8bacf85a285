import { type Answer, answerTo } from './contracts/answer.js';
import type { Received } from './contracts/delivery.js';
import { toError, toWebhookError, WebhookError } from './contracts/errors.js';
import type { Forwarded, HandlerAnswer } from './contracts/result.js';
import { type DeliveryTrace, traceDelivery } from './diagnostics.js';
import { Forwarder } from './forward/forwarder.js';
import { InFlight } from './forward/in-flight.js';
import type { Handler } from './forward/run.js';
import { type Settings, settingsOf, type WebhookOptions } from './options.js';
import { outcomeOf } from './outcome.js';
import type { Provider } from './providers/provider.js';
import { typeOf } from './providers/provider.js';
import { type OnBody, type RawBody, tooLarge } from './receive/body.js';
import { type KeySource, keySource, type Secret, type SigningKey } from './receive/secrets.js';
import { checkHeaders } from './receive/signature.js';
import { checkToken, findToken } from './receive/token.js';
import { type Authentic, findSigned, mismatchOf, type Proof, type Signed, toReceived } from './receive/verify.js';
import { registerReceiver } from './receivers.js';
import { type Clock, systemClock } from './util/clock.js';

/** One request on the endpoint, as a front door presents it, and the ways to end it. */
export interface Exchange<Event> {
  readonly method: string | undefined;
  /** The request target, or the whole URL. */
  readonly url: string;
  /** A header by its lower-case name. Of repeated ones, the values joined by commas. */
  header(name: string): string | undefined;
  /** Calls `done` once, as `readRawBody` does. */
  readBody(limit: number, timeoutMs: number, done: OnBody): void;
  /** Gives the status that the sender gets, which somebody else may have answered before. 0 for none. */
  answer(answer: Answer): number;
  /** Passes the event to the service's own handler, and tells how that answered. Does not throw. */
  handOn(received: Received<Event>, settle: (answer: HandlerAnswer) => void): void;
  /** Tells that the event which was handed on is settled in the store, or beyond that. */
  settled?(): void;
  /** Tells that work begins which may outlast the answer. Gives what to call when it has ended. */
  working?(): (() => void) | undefined;
}

/** What the middleware of every front door can do beside handling requests. */
export interface Closable {
  /** From now on 503 is answered. Resolves when what is in flight has settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
  /** `close()` without a timeout: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where deliveries arrive: the same behind every front door. */
export class Endpoint<Event extends object> implements Closable {
  readonly settings: Settings<Event>;
  readonly provider: Provider<Event>;
  readonly keys: KeySource;
  readonly forwarder: Forwarder<Event>;
  readonly inFlight: InFlight;
  readonly clock: Clock;
  readonly #unregister: () => void;

  constructor(provider: Provider<Event>, secret: Secret, options?: WebhookOptions<Event>, clock: Clock = systemClock) {
    this.provider = provider;
    this.clock = clock;
    this.inFlight = new InFlight(clock);
    this.keys = keySource(secret, clock);
    this.settings = settingsOf(options);
    this.#unregister = registerReceiver(provider.name, this.settings);
    this.forwarder = new Forwarder({ ...this.settings, inFlight: this.inFlight, clock });
  }

  /** Answers the request, or hands it on. Does not throw. */
  serve(exchange: Exchange<Event>): void {
    new Passage(this, exchange).start();
  }

  close(timeoutMs?: number): Promise<void> {
    this.#unregister();
    return this.inFlight.close(timeoutMs, this.settings.sinks);
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
  readonly #arrivedAt: number;
  readonly #trace: DeliveryTrace | undefined;
  #receivedAt = 0;
  #authentic: Authentic | undefined;
  #received: Received<Event> | undefined;
  #type: string | undefined;

  constructor(endpoint: Endpoint<Event>, exchange: Exchange<Event>) {
    this.#endpoint = endpoint;
    this.#exchange = exchange;
    this.#arrivedAt = endpoint.clock.now();
    this.#trace = traceDelivery(endpoint.provider.name);
  }

  get #deadlineAt(): number {
    return this.#arrivedAt + this.#endpoint.settings.deadlineMs;
  }

  start(): void {
    this.#endpoint.inFlight.enter();
    if (this.#trace === undefined) this.#receive();
    else this.#trace.run(() => this.#receive());
  }

  #receive(): void {
    this.#step(() => {
      const proof = this.#checkHead();
      const { limit, bodyTimeoutMs, deadlineMs } = this.#endpoint.settings;
      this.#exchange.readBody(limit, Math.min(bodyTimeoutMs, deadlineMs), (error, body) => {
        if (error !== undefined) this.#fail(error);
        else this.#step(() => this.#verify(proof, body as RawBody, this.#endpoint.keys.known));
      });
    });
  }

  /** All that can be said before a byte of the body is read. */
  #checkHead(): Proof {
    const { inFlight, settings } = this.#endpoint;
    const exchange = this.#exchange;
    if (inFlight.closing) throw new WebhookError('closing', 'the service is shutting down');
    if (exchange.method !== 'POST') {
      throw new WebhookError('method_not_allowed', `${exchange.method} on the endpoint, which takes POST only`);
    }
    this.#receivedAt = settings.now();
    if (!Number.isFinite(this.#receivedAt)) throw new TypeError('the option now gave something other than a time');
    const proof = this.#checkProof();
    if (Number(exchange.header('content-length')) > settings.limit) throw tooLarge(settings.limit);
    return proof;
  }

  #checkProof(): Proof {
    const { provider, keys, settings } = this.#endpoint;
    const exchange = this.#exchange;
    if (provider.headers !== undefined) {
      const { signature, timestamp } = provider.headers;
      const { toleranceSeconds } = settings;
      return checkHeaders(exchange.header(signature), exchange.header(timestamp), toleranceSeconds, this.#receivedAt);
    }
    const token = checkToken(exchange.url, provider.token);
    if (keys.known.length > 0 && findToken(keys.known, token) === undefined) {
      // Asked again, and heard, when the body is there.
      this.#newerKeys(token).catch(() => {});
    }
    return token;
  }

  /** Throws when there can be none. */
  #newerKeys(proof: Proof): Promise<readonly SigningKey[]> {
    const newer = this.#endpoint.keys.newer(this.#arrivedAt, this.#deadlineAt);
    if (newer === undefined) throw this.#mismatch(proof);
    return newer;
  }

  /** The bytes are as they came, so that what they are encoded in matters only when nobody has signed them. */
  #mismatch(proof: Proof): WebhookError {
    const encoding = this.#exchange.header('content-encoding');
    if ('token' in proof || encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity') {
      return mismatchOf(proof);
    }
    return new WebhookError(
      'unsupported_encoding',
      'no secret matches, and the body is marked as encoded: have the proxy in front pass it on as it came',
    );
  }

  #verify(proof: Proof, body: RawBody, keys: readonly SigningKey[]): void {
    const signed = findSigned(keys, proof, body);
    if (signed !== undefined) {
      this.#forward('token' in proof ? undefined : proof.timestamp, signed);
      return;
    }
    this.#newerKeys(proof).then(
      (newerKeys) => this.#step(() => this.#verify(proof, body, newerKeys)),
      (error) => this.#fail(error),
    );
  }

  #forward(timestamp: string | undefined, { key, bytes }: Signed): void {
    const { provider, forwarder, settings } = this.#endpoint;
    const attempt = this.#header(provider.headers?.attempt);
    const claimedId = this.#header(provider.headers?.id);
    this.#authentic = { key, bytes, timestamp, attempt, claimedId, receivedAt: this.#receivedAt };
    const received = toReceived(provider, this.#authentic);
    this.#received = received;
    this.#type = typeOf(provider, received.event);
    const handler: Handler | undefined = settings.handoff
      ? (settle) => this.#exchange.handOn(received, this.#trace?.bind(settle) ?? settle)
      : undefined;
    const ended = this.#exchange.working?.();
    forwarder.forward(received, this.#type, this.#deadlineAt, handler, (forwarded) => this.#end(forwarded), ended);
  }

  #header(name: string | undefined): string | undefined {
    return name === undefined ? undefined : this.#exchange.header(name);
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
    const delivery = this.#received?.delivery;
    let status = forwarded.handlerStatus;
    if (status === undefined) status = this.#answer(forwarded, delivery?.id);
    else this.#exchange.settled?.();
    const durationMs = this.#endpoint.clock.now() - this.#arrivedAt;
    const outcome = outcomeOf(forwarded, status, this.#authentic, delivery, this.#type, durationMs);
    settings.onOutcome(outcome);
    this.#trace?.answered(outcome);
    inFlight.leave();
  }

  /** Gives the status that was answered. */
  #answer({ error, sinks }: Forwarded, id: string | undefined): number {
    try {
      return this.#exchange.answer(answerTo(error?.code, error?.retryAfterMs, sinks));
    } catch (failure) {
      this.#endpoint.settings.onError(toError(failure), { id });
      return 0;
    }
  }
}
