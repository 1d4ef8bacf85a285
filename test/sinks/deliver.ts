import type { Delivery, Sink } from '../../src/index.js';
import { verifyDelivery } from '../../src/receive/verify.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';

const secret = 'a-secret-of-the-tests';

/** A sample event with some fields replaced, possibly by wrong ones. */
export function eventWith(fields: Readonly<Record<string, unknown>>): object {
  return { ...sampleEvent('instance_offline'), ...fields };
}

/** The delivery that carries an event. */
function deliveryOf(event: object): Delivery {
  const { body, headers } = signedDelivery(JSON.stringify(event), secret);
  return verifyDelivery({ body, headers, secret }).delivery;
}

/** Delivers an event to a sink, as the middleware does. */
export async function deliverTo(
  sink: Sink<never>,
  event: object = eventWith({}),
  signal = new AbortController().signal,
): Promise<void> {
  await sink.deliver(event as never, { delivery: deliveryOf(event), signal });
}

/** The error that an attempt rejects with. */
export async function failureOf(attempt: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return attempt.then(
    () => {
      throw new Error('it did not fail');
    },
    (error) => error,
  );
}
