import { randomUUID } from 'node:crypto';
import { WebhookError } from '../errors.js';
import type { Verified } from '../receive/delivery.js';
import { Claim, type ClaimSettings } from './claim.js';
import { type Forwarded, type Handler, Run, type RunSettings } from './run.js';

export interface ForwarderSettings<Event> extends ClaimSettings, RunSettings<Event> {
  /** Keeps apart what a receiver and a worker remember of one event in one store. */
  readonly scope: string;
}

/** What the store knows an event by. */
export function keyOf(scope: string, provider: string, id: string): string {
  return `${scope}:${provider}:${id}`;
}

const duplicate: Forwarded = { duplicate: true };

/** Takes a verified delivery to its end: claimed, told to the sinks, handed on, completed or released. */
export class Forwarder<Event> {
  readonly #settings: ForwarderSettings<Event>;
  readonly #prefixes = new Map<string, string>();

  constructor(settings: ForwarderSettings<Event>) {
    this.#settings = settings;
  }

  /**
   * Calls `done` once. By `deadlineAt`, a time of `performance.now()`, that is; sinks still at work are then settled
   * behind it, and a handler that has the event is waited for as long as its claim can be kept. Does not throw.
   */
  forward(
    verified: Verified<Event>,
    type: string | undefined,
    deadlineAt: number,
    handler: Handler | undefined,
    done: (forwarded: Forwarded) => void,
  ): void {
    const settings = this.#settings;
    const { provider, id } = verified.delivery;
    const claim = new Claim(settings, this.#prefixOf(provider) + id, randomUUID(), (error) =>
      settings.onError(error, { id, type }),
    );
    const end = (forwarded: Forwarded) => {
      done(forwarded);
      settings.inFlight.leave();
    };
    settings.inFlight.enter();
    claim.take(deadlineAt - performance.now(), {
      ok(result) {
        if (result.state === 'acquired') {
          new Run(settings, verified, type, claim, handler, done).start(result.delivered, deadlineAt);
        } else if (result.state === 'completed') {
          end(duplicate);
        } else {
          const { retryAfterMs } = result;
          const message = 'another delivery of the event is being processed';
          end({ duplicate: false, error: new WebhookError('in_flight', message, { retryAfterMs }) });
        }
      },
      fail: (error) => end({ duplicate: false, error }),
    });
  }

  /** Kept, since a store in memory holds every part that a key was put together of. */
  #prefixOf(provider: string): string {
    let prefix = this.#prefixes.get(provider);
    if (prefix === undefined) {
      prefix = keyOf(this.#settings.scope, provider, '');
      this.#prefixes.set(provider, prefix);
    }
    return prefix;
  }
}
