import { AckPolicy, type JetStreamClient, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, nanos } from '@nats-io/transport-node';
import { createForwarder, type ForwarderOptions, type QueuedDelivery, type Sink } from 'vast-webhook';

/** In the service: `sinks: [natsJetStream(jetstream(connection))]`. */
export function natsJetStream(js: JetStreamClient): Sink {
  return {
    name: 'nats:vast-events',
    async deliver(_event, { delivery }) {
      const queued = { ...delivery, rawBody: delivery.rawBody.toString('base64') };
      await js.publish('vast-events', JSON.stringify(queued), { msgID: delivery.id });
    },
  };
}

/** In the worker: `work(jetstream(connection), { store, sinks })`. */
export async function work(js: JetStreamClient, options: ForwarderOptions): Promise<void> {
  const forward = createForwarder(options);
  const consumer = await js.consumers.get('vast-events', 'workers');
  for await (const message of await consumer.consume({ max_messages: 1 })) {
    const heartbeat = setInterval(() => message.working(), 10_000);
    await forward(message.json<QueuedDelivery>()).then(
      () => message.ack(),
      ({ name }) => (name === 'UnrecoverableError' ? message.term() : message.nak(30_000)),
    );
    clearInterval(heartbeat);
  }
}

/** Once: a stream that knows an event again for a week, and hands it out until it is acknowledged or terminated. */
export async function setUp(connection: NatsConnection): Promise<void> {
  const { streams, consumers } = await jetstreamManager(connection);
  const week = nanos(7 * 24 * 60 * 60_000);
  await streams.add({ name: 'vast-events', subjects: ['vast-events'], max_age: week, duplicate_window: week });
  await consumers.add('vast-events', {
    durable_name: 'workers',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(30_000),
  });
}
