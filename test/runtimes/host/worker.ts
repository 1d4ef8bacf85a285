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

const memory = memoryStore();

export interface Bindings {
  readonly DB: unknown;
  readonly DATABASE_URL: string;
}

/** A worker with these stores, and with those that every worker can have. */
export function workerOf(further: (env: Bindings) => Host['stores'] = () => ({})) {
  let host: Fetch | undefined;
  return {
    fetch(request: Request, env: Bindings, context: object): Promise<Response> {
      host ??= hostOf({ memoryStore: () => memory, d1Store: () => d1Store(env.DB), ...further(env) });
      return host(request, env, context);
    },
  };
}

export default workerOf();

export class DurableHost {
  readonly fetch: (request: Request) => Promise<Response>;

  constructor(context: { readonly storage: unknown }, env: object) {
    const host = hostOf({ durableObjectStore: () => durableObjectStore(context.storage) });
    this.fetch = (request) => host(request, env, context);
  }
}
