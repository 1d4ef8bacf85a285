// Sends requests of one kind over sockets for a time, one at a time a connection, and measures how long each answer takes.
import { once } from 'node:events';
import { connect } from 'node:net';
import { serve } from './child.mjs';
import { path, signedDeliveries } from './deliveries.mjs';

/** For each kind: its request, and the status of the answer. */
const kinds = {
  genuine: { status: 204, next: () => signedDeliveries(1)[0] },
  unsigned: always(unsigned(450)),
  forged: always(forged(450)),
  'unsigned, 64 kB': always(unsigned(64 * 1024)),
  'forged, 64 kB': always(forged(64 * 1024)),
};

serve(async ({ port, connections, kind, ms }) => {
  const until = performance.now() + ms;
  const latencies = [];
  await Promise.all(Array.from({ length: connections }, () => sendUntil(until, port, kinds[kind], latencies)));
  return { latencies };
});

function always(request) {
  return { status: 401, next: () => request };
}

function unsigned(bytes) {
  return post({}, bytes);
}

/** Well-formed and in time, so that only the HMAC shows what it is. */
function forged(bytes) {
  const signature = `sha256=${'0'.repeat(64)}`;
  // Far enough ahead for the run, and within the window.
  const timestamp = Math.floor(Date.now() / 1000) + 240;
  return post({ 'X-Vast-Signature-256': signature, 'X-Vast-Timestamp': timestamp }, bytes);
}

function post(headers, bytes) {
  const lines = Object.entries({
    Host: 'hooks.example.com',
    'Content-Type': 'application/json',
    ...headers,
    'Content-Length': bytes,
  });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${head}\r\n${'x'.repeat(bytes)}`);
}

async function sendUntil(until, port, { status, next }, latencies) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const answers = answersOf(socket);
  while (performance.now() < until) {
    const sentAt = performance.now();
    socket.write(next());
    const { value: answer } = await answers.next();
    if (!answer?.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`expected ${status}, got: ${answer}`);
    latencies.push(performance.now() - sentAt);
  }
  socket.destroy();
}

async function* answersOf(socket) {
  let received = '';
  for await (const chunk of socket) {
    received += chunk.latin1Slice();
    const head = received.indexOf('\r\n\r\n');
    if (head === -1) continue;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? 0);
    if (received.length < head + 4 + length) continue;
    yield received;
    received = '';
  }
}
