// Sends signed deliveries over sockets as fast as they are answered, one at a time a connection.
import { once } from 'node:events';
import { connect } from 'node:net';
import { serve } from './child.mjs';
import { signedDeliveries } from './deliveries.mjs';

const expected = 'HTTP/1.1 204 ';

serve(async ({ port, connections, deliveries, path }) => {
  const batch = signedDeliveries(deliveries, undefined, path);
  const opened = Array.from({ length: connections }, () => open(port));
  await Promise.all(opened.map(({ socket }) => once(socket, 'connect')));
  const startedAt = performance.now();
  await Promise.all(opened.map((connection) => sendFrom(batch, connection)));
  const ms = performance.now() - startedAt;
  for (const { socket } of opened) socket.destroy();
  return { ms };
});

/** Reads into one buffer instead of a stream: the sender must have time to spare, or it is what gets measured. */
function open(port) {
  const connection = { received: '', answered: () => {} };
  connection.socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: Buffer.alloc(4096),
      callback(length, buffer) {
        connection.received += buffer.latin1Slice(0, length);
        // A 204 has no body.
        if (connection.received.endsWith('\r\n\r\n')) connection.answered();
        return true;
      },
    },
  });
  return connection;
}

/** Each connection takes the next delivery that is left. */
function sendFrom(batch, connection) {
  const { socket } = connection;
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closed a connection')));
    connection.answered = () => {
      const { received } = connection;
      connection.received = '';
      if (received.startsWith(expected)) next();
      else reject(new Error(`expected 204, got: ${received}`));
    };
    const next = () => {
      const delivery = batch.pop();
      if (delivery === undefined) resolve();
      else socket.write(delivery);
    };
    next();
  });
}

/**
 * Never lets the sender sleep. To wake it costs the server more than the middleware does, at every answer, and the
 * more the less the server has to do: the quick candidates would be the ones to pay.
 */
function stayAwake() {
  setImmediate(stayAwake);
}
stayAwake();
