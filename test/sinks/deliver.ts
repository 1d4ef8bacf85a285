import type { Delivery, Sink } from '../../src/index.js';
import { verifyDelivery } from '../../src/receive/verify.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';

const secret = 'a-secret-of-the-tests';

/** An event of which only some fields are as they should be. */
export function eventWith(fields: Readonly<Record<string, unknown>>): object {
  return { ...sampleEvent('instance_offline'), ...fields };
}

/** The delivery that carries an event. */
function deliveryOf(event: object): Delivery {
  const { body, headers } = signedDelivery(event, secret);
  return verifyDelivery({ body, headers, secret }).delivery;
}

/** Tells a sink about an event, as the middleware does. */
export async function tell(
  sink: Sink<never>,
  event: object = eventWith({}),
  signal = new AbortController().signal,
): Promise<void> {
  await sink.deliver(event as never, { delivery: deliveryOf(event), signal });
}

/** How a sink fails. */
export async function failureOf(telling: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return telling.then(
    () => {
      throw new Error('it did not fail');
    },
    (error) => error,
  );
}
