/** Answers a test's questions in a process, on a port that it prints. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { answerTo, controlOf, type Host } from './control.js';

export function serveTest(host: Host): void {
  const control = controlOf(host);
  const server = createServer(async (req, res) => {
    res.setHeader('Content-Type', 'application/json');
    res.end(await answerTo(control, await text(req)));
  });
  server.listen(0, '127.0.0.1', () => console.log(`port ${(server.address() as AddressInfo).port}`));
}
