import type { Consumer, Producer } from 'kafkajs';
import { createForwarder, type ForwarderOptions, type Sink } from 'vast-webhook';

/** In the service: `sinks: [kafka(producer)]`, with a connected producer. */
export function kafka(producer: Producer): Sink {
  return {
    name: 'kafka:vast-events',
    async deliver(_event, { delivery }) {
      const value = JSON.stringify({ ...delivery, rawBody: delivery.rawBody.toString('base64') });
      await producer.send({ topic: 'vast-events', acks: -1, messages: [{ key: delivery.id, value }] });
    },
  };
}

/**
 * In the worker: `work(kafka.consumer({ groupId: 'chats', sessionTimeout: 360_000 }), { store, sinks })`. Kafka knows
 * no event again, which the store does; and what throws here holds up its partition until it no longer does.
 */
export async function work(consumer: Consumer, options: ForwarderOptions): Promise<void> {
  const forward = createForwarder(options);
  await consumer.connect();
  await consumer.subscribe({ topic: 'vast-events', fromBeginning: true });
  await consumer.run({
    async eachMessage({ message }) {
      await forward(JSON.parse(String(message.value))).catch((error) => {
        if (error.name !== 'UnrecoverableError') throw error; // the outcome says why it is given up
      });
    },
  });
}
