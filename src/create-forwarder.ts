import { WebhookError } from './errors.js';
import { Forwarder } from './forward/forwarder.js';
import { InFlight } from './forward/in-flight.js';
import type { Forwarded } from './forward/run.js';
import { type ForwarderOptions, forwarderSettingsOf } from './options.js';
import { outcomeOf } from './outcome.js';
import { providerOf } from './providers/index.js';
import type { VastEvent } from './providers/vast.js';
import type { Delivery } from './receive/delivery.js';
import { toBuffer } from './receive/raw-body.js';
import { parseEvent, typeOf } from './receive/verify.js';

/** A delivery as it comes out of a queue: `rawBody` in base64, or as JSON makes it of a Buffer. */
export type QueuedDelivery = Omit<Delivery, 'rawBody'> & {
  readonly rawBody: Uint8Array | string | { readonly type: 'Buffer'; readonly data: readonly number[] };
};

export interface Forward {
  /** Resolves when all sinks have the event, by this delivery or an earlier one. Rejects with a `WebhookError`. */
  (delivery: Delivery | QueuedDelivery): Promise<void>;
  /** From now on deliveries are refused. Resolves when what is in flight has settled, or after `timeoutMs` milliseconds. */
  close(timeoutMs?: number): Promise<void>;
}

/**
 * The telling of sinks without a web server: for a worker behind a queue, with the store's help as careful as the
 * middleware. There is no deadline. Throws a `TypeError` for an option that nobody can have meant.
 */
export function createForwarder(options: ForwarderOptions<VastEvent>): Forward {
  const settings = forwarderSettingsOf(options);
  const inFlight = new InFlight();
  const forwarder = new Forwarder({ ...settings, scope: 'forwarder', inFlight });

  async function forward(queued: Delivery | QueuedDelivery): Promise<void> {
    const startedAt = performance.now();
    const delivery = revive(queued);
    const provider = providerOf(delivery.provider);
    const event = parseEvent(delivery.rawBody) as VastEvent;
    const type = typeOf(provider, event);
    const forwarded = inFlight.closing
      ? { duplicate: false, error: new WebhookError('closing', 'the forwarder is closed') }
      : await new Promise<Forwarded>((resolve) => {
          forwarder.forward({ event, delivery }, type, Number.POSITIVE_INFINITY, undefined, resolve);
        });
    settings.onOutcome(outcomeOf(forwarded, undefined, delivery, type, performance.now() - startedAt));
    if (forwarded.error !== undefined) throw forwarded.error;
  }

  return Object.assign(forward, { close: (timeoutMs?: number) => inFlight.close(timeoutMs) });
}

function revive(queued: Delivery | QueuedDelivery): Delivery {
  const { rawBody } = queued;
  if (typeof rawBody === 'string') return { ...queued, rawBody: Buffer.from(rawBody, 'base64') };
  if (ArrayBuffer.isView(rawBody)) return { ...queued, rawBody: toBuffer(rawBody) };
  if (Array.isArray(rawBody?.data)) return { ...queued, rawBody: Buffer.from(rawBody.data) };
  throw new TypeError('forward(delivery) takes a delivery, or what JSON made of one, with its rawBody');
}
