import { type Answer, answerTo } from './contracts/answer.js';
import type { ReceivedDelivery } from './contracts/delivery.js';
import { toError, toWebhookError, WebhookError } from './contracts/errors.js';
import type { Forwarded, HandlerAnswer } from './contracts/result.js';
import { type DeliveryTrace, traceDelivery } from './diagnostics.js';
import type { Handler } from './forward/dispatch.js';
import { Dispatcher } from './forward/dispatcher.js';
import { Drain } from './forward/drain.js';
import { Intake, intakeOf } from './intake.js';
import { type Settings, settingsOf, type WebhookOptions } from './options.js';
import { outcomeOf } from './outcome.js';
import { checkProvider } from './providers/define-provider.js';
import { type Provider, schemeOf } from './providers/provider.js';
import type { Credentials, Head, SigningKey, WorkingScheme } from './providers/scheme.js';
import { type OnBody, type RawBody, tooLarge } from './receive/body.js';
import { type KeyProvider, keyProvider, type Secret } from './receive/secrets.js';
import { findSigned, refused, type Signed, toReceived, type VerifiedRequest } from './receive/verify.js';
import { registerReceiver } from './receivers.js';
import { type Clock, systemClock } from './util/clock.js';
import type { Hold } from './util/shared-work.js';
import { withoutStack } from './util/without-stack.js';

/** One request on the endpoint, as its adapter presents it, and the ways to end it. */
export interface AdapterRequest<Event> extends Head {
  readonly method: string | undefined;
  /** Calls `done` once, as `readRawBody` does. */
  readBody(limit: number, timeoutMs: number, done: OnBody): void;
  /** Returns the status that the sender gets: other code may have answered before. 0 for none. */
  answer(answer: Answer): number;
  /** Calls the user's handler, and `settle` with its answer. Does not throw. */
  callHandler(received: ReceivedDelivery<Event>, settle: (answer: HandlerAnswer) => void): void;
  /** Called when the handler's event is settled, or when settling has failed for good. */
  onSettled?(): void;
  /** Keeps the request's timers and connections until the promise settles, where the platform would end them. */
  readonly waitUntil?: Hold | undefined;
}

/** What every middleware can do beside handling requests. */
export interface Closable {
  /** Answers 503 from now on. Resolves when all running work has settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
  /** `close()` without a timeout: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A body that has not been read yet. */
const noBytes = new Uint8Array();

/** Where deliveries arrive: the same behind every adapter. */
export class Endpoint<Event extends object> implements Closable {
  readonly settings: Settings<Event>;
  readonly provider: Provider<Event>;
  readonly scheme: WorkingScheme;
  readonly keys: KeyProvider;
  readonly forwarder: Dispatcher<Event>;
  readonly drain: Drain;
  readonly clock: Clock;
  readonly intake: Intake<Event>;
  readonly #unregister: () => void;

  constructor(provider: Provider<Event>, secret: Secret, options?: WebhookOptions<Event>, clock: Clock = systemClock) {
    checkProvider(provider);
    this.provider = provider;
    this.clock = clock;
    this.drain = new Drain(clock);
    this.scheme = schemeOf(provider);
    this.keys = keyProvider(secret, clock, this.scheme.keyOf);
    this.settings = settingsOf(options);
    if (!this.scheme.signsTime && options?.toleranceSeconds !== undefined) {
      throw new TypeError(
        `the option toleranceSeconds has no effect, because ${provider.name} signs no time: completedTtlMs and a store that survives restarts are what refuses old deliveries`,
      );
    }
    this.#unregister = registerReceiver(provider.name, this.settings);
    this.forwarder = new Dispatcher({ ...this.settings, drain: this.drain, clock });
    const labels = () => this.#labels();
    const { settings, drain, forwarder: dispatcher } = this;
    this.intake = new Intake({ provider: provider.name, settings, dispatcher, drain, clock, labels });
  }

  /** Answers the request, or calls the handler. Does not throw. */
  serve(request: AdapterRequest<Event>): void {
    new Pipeline(this, request).start();
  }

  /** The properties of the middleware. */
  get methods() {
    return {
      close: (timeoutMs?: number) => this.close(timeoutMs),
      [Symbol.asyncDispose]: () => this.close(),
      [intakeOf]: this.intake,
    };
  }

  async #labels(): Promise<readonly string[]> {
    const { keys, clock, settings } = this;
    const now = clock.now();
    // A function has not been called before the first delivery.
    const known = keys.known.length > 0 ? keys.known : await keys.refresh(now, now + settings.deadlineMs);
    return (known ?? []).flatMap(({ label }) => label ?? []);
  }

  close(timeoutMs?: number): Promise<void> {
    this.#unregister();
    this.intake.watcher?.closed();
    return this.drain.close(timeoutMs, this.settings.sinks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * One delivery's way from request to answer, the cheapest check first. Like a dispatch, it makes no promise of its own.
 * Each callback ends in `#end`, whatever it throws.
 */
class Pipeline<Event extends object> {
  readonly #endpoint: Endpoint<Event>;
  readonly #request: AdapterRequest<Event>;
  readonly #arrivedAt: number;
  readonly #trace: DeliveryTrace | undefined;
  #receivedAt = 0;
  #verified: VerifiedRequest | undefined;
  #received: ReceivedDelivery<Event> | undefined;

  constructor(endpoint: Endpoint<Event>, request: AdapterRequest<Event>) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.#arrivedAt = endpoint.clock.now();
    this.#trace = traceDelivery(endpoint.provider.name);
  }

  get #deadlineAt(): number {
    return this.#arrivedAt + this.#endpoint.settings.deadlineMs;
  }

  start(): void {
    this.#endpoint.drain.enter();
    if (this.#trace === undefined) this.#receive();
    else this.#trace.run(() => this.#receive());
  }

  #receive(): void {
    this.#step(() => {
      const credentials = this.#checkHead();
      const { limit, bodyTimeoutMs, deadlineMs } = this.#endpoint.settings;
      this.#request.readBody(limit, Math.min(bodyTimeoutMs, deadlineMs), (error, body) => {
        if (error !== undefined) this.#fail(error);
        else this.#step(() => this.#verify(credentials, body as RawBody, this.#endpoint.keys.known));
      });
    });
  }

  /** All checks that need no byte of the body. */
  #checkHead(): Credentials {
    const { drain, settings } = this.#endpoint;
    const request = this.#request;
    if (drain.closing) throw new WebhookError('closing', 'the service is shutting down');
    if (request.method !== 'POST') {
      throw new WebhookError('method_not_allowed', `${request.method} on the endpoint, which takes POST only`);
    }
    this.#receivedAt = settings.now();
    if (!Number.isFinite(this.#receivedAt)) throw new TypeError('the option now gave something other than a time');
    const credentials = this.#checkCredentials();
    if (Number(request.header('content-length')) > settings.limit) throw tooLarge(settings.limit);
    return credentials;
  }

  #checkCredentials(): Credentials {
    const { scheme, keys, settings } = this.#endpoint;
    const credentials = scheme.checkHead(this.#request, settings.toleranceSeconds, this.#receivedAt);
    if (credentials.reason !== undefined) throw withoutStack(() => refused(credentials));
    if (!scheme.signsBody && keys.known.length > 0 && scheme.findKey(keys.known, credentials, noBytes) === undefined) {
      // Starts to load newer keys now. #verify() awaits them and handles errors.
      this.#newerKeys().catch(() => {});
    }
    return credentials;
  }

  /** Throws if there can be no newer keys. */
  #newerKeys(): Promise<readonly SigningKey[]> {
    const newer = this.#endpoint.keys.refresh(this.#arrivedAt, this.#deadlineAt, this.#request.waitUntil);
    if (newer === undefined) throw this.#mismatch();
    return newer;
  }

  /** The bytes are checked as they came, so an encoding matters only if no secret matches. */
  #mismatch(): WebhookError {
    const { scheme } = this.#endpoint;
    const encoding = this.#request.header('content-encoding');
    if (!scheme.signsBody || encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity') {
      return withoutStack(() => refused(scheme.mismatch));
    }
    return new WebhookError(
      'unsupported_encoding',
      'no secret matches, and the body is marked as encoded: have the proxy in front pass it on as it came',
    );
  }

  #verify(credentials: Credentials, body: RawBody, keys: readonly SigningKey[]): void {
    const signed = findSigned(this.#endpoint.scheme, keys, credentials, body);
    if (signed !== undefined) {
      this.#forward(credentials, signed);
      return;
    }
    this.#newerKeys().then(
      (newerKeys) => this.#step(() => this.#verify(credentials, body, newerKeys)),
      (error) => this.#fail(error),
    );
  }

  #forward(credentials: Credentials, { key, bytes }: Signed): void {
    const { provider, scheme, forwarder, settings, intake } = this.#endpoint;
    this.#verified = { key, bytes, credentials, head: this.#request, receivedAt: this.#receivedAt };
    const received = toReceived(provider, scheme, this.#verified);
    this.#received = received;
    intake.watcher?.seen(received.delivery);
    const handler: Handler | undefined = settings.handoff
      ? (settle) => this.#request.callHandler(received, this.#trace?.bind(settle) ?? settle)
      : undefined;
    const { waitUntil } = this.#request;
    forwarder.forward(received, this.#deadlineAt, handler, (forwarded) => this.#end(forwarded), waitUntil);
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
    const { settings, drain } = this.#endpoint;
    const delivery = this.#received?.delivery;
    let status = forwarded.handlerStatus;
    if (status === undefined) status = this.#answer(forwarded, delivery?.id);
    else this.#request.onSettled?.();
    const durationMs = this.#endpoint.clock.now() - this.#arrivedAt;
    const outcome = outcomeOf(forwarded, status, this.#verified, delivery, delivery?.type, durationMs);
    settings.onOutcome(outcome);
    this.#trace?.answered(outcome);
    drain.leave();
  }

  /** Returns the status that was answered. */
  #answer({ error, sinks }: Forwarded, id: string | undefined): number {
    try {
      return this.#request.answer(answerTo(error?.code, error?.retryAfterMs, sinks));
    } catch (failure) {
      this.#endpoint.settings.onError(toError(failure), { id });
      return 0;
    }
  }
}
