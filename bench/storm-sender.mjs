// Sends deliveries as fast as they are answered, one at a time a connection, and repeats those that were not taken,
// after each of the pauses, each attempt signed anew.
import { connect } from 'node:net';
import { serve } from './child.mjs';
import { newEvents, signedDelivery } from './deliveries.mjs';
import { quantile } from './report.mjs';

/** The sender's own. */
const timeoutMs = 10_000;

serve(async ({ port, connections, events, pausesMs }) => {
  let left = newEvents(events);
  // The first attempts beforehand, because signing takes CPU time of the machine that the service runs on.
  const first = new Map(left.map((event) => [event, signedDelivery(event)]));
  const startedAt = Date.now();
  const times = [];
  const waves = [];
  let timedOut = 0;
  for (const pauseMs of [0, ...pausesMs]) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const after = (Date.now() - startedAt) / 1000;
    const refused = [];
    const sent = left.length;
    const sendAll = async () => {
      const connection = new Connection(port);
      for (let event = left.pop(); event !== undefined; event = left.pop()) {
        const delivery = first.get(event) ?? signedDelivery(event, { attempt: waves.length + 1 });
        first.delete(event);
        const sentAt = performance.now();
        const status = await connection.send(delivery);
        times.push(performance.now() - sentAt);
        if (status === undefined) timedOut++;
        if (status !== 204) refused.push(event);
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: connections }, sendAll));
    waves.push({ after, sent, taken: sent - refused.length });
    left = refused;
  }
  const seconds = (Date.now() - startedAt) / 1000;
  return { startedAt, seconds, p99: quantile(times, 0.99), timedOut, taken: events - left.length, waves };
});

/** A keep-alive connection, opened again when the service has closed it. */
class Connection {
  #port;
  #socket;
  #received = '';
  #answered = () => {};

  constructor(port) {
    this.#port = port;
  }

  /** Resolves with the status, or with undefined if there was none in time. */
  send(delivery) {
    return new Promise((resolve) => {
      this.#socket ??= this.#open();
      const timer = setTimeout(() => {
        this.close();
        this.#answered(undefined);
      }, timeoutMs);
      this.#answered = (status) => {
        clearTimeout(timer);
        resolve(status);
      };
      this.#socket.write(delivery);
    });
  }

  close() {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open() {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    socket.setEncoding('latin1');
    this.#received = '';
    socket.on('data', (chunk) => {
      this.#received += chunk;
      const headEnd = this.#received.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
      if (this.#received.length < headEnd + 4 + length) return;
      const status = Number(this.#received.slice(9, 12));
      this.#received = '';
      this.#answered(status);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#answered(0);
    });
    return socket;
  }
}
