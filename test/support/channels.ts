/** Records the messages for tracers, and starts a context as a tracer would. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { onTestFinished, vi } from 'vitest';
import type { DeliveryMessage, SinkMessage } from '../../src/index.js';

export type Message = Partial<DeliveryMessage & SinkMessage>;

interface Published {
  /** Such as `delivery:start`. */
  readonly name: string;
  /** The object itself, and a copy of its fields at that time. */
  readonly message: object;
  readonly held: Message;
}

const parts = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Subscribes to both channels until the test is over. */
export function watchChannels() {
  const published: Published[] = [];
  for (const kind of ['delivery', 'sink']) {
    const channel = tracingChannel(`vast-webhook.${kind}`);
    for (const part of parts) {
      const hear = (message: unknown) =>
        void published.push({
          name: `${kind}:${part}`,
          message: message as object,
          held: { ...(message as Message) },
        });
      channel[part].subscribe(hear);
      onTestFinished(() => void channel[part].unsubscribe(hear));
    }
  }
  const all = (name: string) => published.filter((one) => one.name === name).map(({ held }) => held);
  return {
    published,
    names: () => published.map(({ name }) => name),
    /** The contents of the messages of one name. */
    all,
    /** Resolves when there have been so many messages of that name, with the last one. */
    nth: (name: string, nth = 1): Promise<Message> =>
      vi.waitFor(
        () => {
          const message = all(name)[nth - 1];
          if (message === undefined) throw new Error(`${name} was published ${all(name).length} times`);
          return message;
        },
        { interval: 5 },
      ),
  };
}

/** A context that a tracer starts for each delivery: its number. Returns a function for the active one. */
export function traceDeliveries(): () => number | undefined {
  const storage = new AsyncLocalStorage<number>();
  const { start } = tracingChannel<number, DeliveryMessage>('vast-webhook.delivery');
  let deliveries = 0;
  start.bindStore(storage, () => ++deliveries);
  onTestFinished(() => void start.unbindStore(storage));
  return () => storage.getStore();
}
