import { type Fetch, fetchService } from '../../support/fetch-service.js';
import { frameworks } from './frameworks.js';
import { serveTest } from './process.js';
import { commonStores, nodeSqlite } from './stores.js';

interface DenoServer {
  readonly addr: { readonly port: number };
}

declare const Deno: {
  serve(options: { hostname: string; port: number; signal: AbortSignal; onListen(): void }, fetch: Fetch): DenoServer;
};

serveTest({
  servers: {
    ...frameworks,
    async 'Deno.serve'(setup, handler, arrived) {
      const { answer, hook } = fetchService(setup, handler);
      const stopped = new AbortController();
      const server = Deno.serve(
        { hostname: '127.0.0.1', port: 0, signal: stopped.signal, onListen() {} },
        (request, ...context) => {
          arrived();
          return answer(request, ...context);
        },
      );
      return { port: server.addr.port, hook, stop: () => stopped.abort() };
    },
  },
  stores: { ...commonStores(), ...nodeSqlite() },
});
