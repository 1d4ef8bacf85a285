/** A worker, and the same in a Durable Object. Like `export default { fetch: hook }`, it passes on all arguments. */
import { memoryStore } from '../../../src/index.js';
import * as packaged from '../../../src/stores/index.js';
import { type Fetch, fetchService } from '../../support/fetch-service.js';
import { controlPath } from '../protocol.js';
import { answerTo, controlOf, type Host } from './control.js';

// By name, so that this loads where the package has no such store yet.
const { d1Store, durableObjectStore } = packaged as unknown as Record<
  'd1Store' | 'durableObjectStore',
  (handle: unknown) => ReturnType<typeof memoryStore>
>;

function hostOf(stores: Host['stores']): Fetch {
  let current: Fetch = async () => new Response('no case has started', { status: 500 });
  const control = controlOf({
    stores,
    servers: {
      async worker(setup, handler, arrived) {
        const { answer, hook } = fetchService(setup, handler);
        current = (...args) => {
          arrived();
          return answer(...args);
        };
        return { hook, stop() {} };
      },
    },
  });
  return async (request, ...context) => {
    if (new URL(request.url).pathname !== controlPath) return current(request, ...context);
    return new Response(await answerTo(control, await request.text()));
  };
}

let host: Fetch | undefined;
const memory = memoryStore();

export default {
  fetch(request: Request, env: { DB: unknown }, context: object): Promise<Response> {
    host ??= hostOf({ memoryStore: () => memory, d1Store: () => d1Store(env.DB) });
    return host(request, env, context);
  },
};

export class DurableHost {
  readonly fetch: (request: Request) => Promise<Response>;

  constructor(context: { readonly storage: unknown }, env: object) {
    const host = hostOf({ durableObjectStore: () => durableObjectStore(context.storage) });
    this.fetch = (request) => host(request, env, context);
  }
}
