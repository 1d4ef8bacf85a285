/** Express, Koa and fetch on `node:http`: on Node.js, Bun and Deno. */
import { createServer } from 'node:http';
import { adapters, listen } from '../../support/adapters.js';
import type { Host } from './control.js';

export const frameworks: Host['servers'] = Object.fromEntries(
  adapters.map(([name, adapter]) => [
    name,
    async (setup, handler, arrived) => {
      const { listener, hook } = adapter.listen(setup, handler);
      const server = createServer(listener).on('request', arrived);
      const port = await listen(server);
      const stop = () => {
        server.closeAllConnections();
        server.close();
      };
      return { port, hook, stop };
    },
  ]),
);
