// One candidate of the load part, on a loopback port.
import { once } from 'node:events';
import { candidates } from './candidates.mjs';
import { serve } from './child.mjs';

const server = await candidates[process.argv[2]].server();
await once(server.listen(0, '127.0.0.1'), 'listening');

let since = process.cpuUsage();

/** Sends the port, and on request the CPU time since the last request. */
serve(() => {
  const { user, system } = process.cpuUsage(since);
  since = process.cpuUsage();
  return { port: server.address().port, cpuMs: (user + system) / 1000 };
});
