import type { Answer } from '../contracts/answer.js';
import type { ReceivedDelivery, ReceivedFrom } from '../contracts/delivery.js';
import { toError } from '../contracts/errors.js';
import type { HandlerAnswer } from '../contracts/result.js';
import { type AdapterRequest, type Closable, Endpoint } from '../endpoint.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import type { OnBody } from '../receive/body.js';
import { targetTest } from '../receive/path.js';
import type { Secret } from '../receive/secrets.js';
import { readWebBody } from '../receive/web-body.js';
import { isPromise } from '../util/promise.js';
import { isWorkers } from '../util/runtime.js';
import type { Hold } from '../util/shared-work.js';
import { isFetchCall, misuse, refuse } from './wrong-form.js';

/** The context of a platform that may freeze the process after the answer. */
export interface WaitUntil {
  /** Keeps the process running until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
}

/** Answers requests: for Hono, Next.js, Bun, Deno and workers. */
export interface FetchWebhook extends Closable {
  /** Accepts the platform's further arguments, and uses a `waitUntil` in any of them. Does not reject. */
  (request: Request, ...context: unknown[]): Promise<Response>;
}

/** The user's handler. Its answer settles the event and goes to the sender. */
export type FetchHandler<Event, Signs extends boolean> = (
  received: ReceivedFrom<Event, Signs>,
  request: Request,
) => Response | Promise<Response>;

/** Creates the function for a provider's deliveries. Throws a `TypeError` for an invalid secret, option or handler. */
export function fetchWebhook<Event extends object, Signs extends boolean>(
  provider: Provider<Event, Signs>,
  secret: Secret,
  options: WebhookOptions<Event> | undefined,
  handler: FetchHandler<Event, Signs> | undefined,
): FetchWebhook {
  const endpoint = new Endpoint(provider, secret, options);
  const { path, handoff } = endpoint.settings;
  checkHandler(handler, handoff);
  const isEndpoint = path === undefined ? () => true : targetTest(path);
  const needsHold = isWorkers();
  const reportNone = once(endpoint.settings.report);
  const reportBroken = once(endpoint.settings.report);
  return Object.assign(function webhook(request: Request, ...context: unknown[]): Promise<Response> {
    if (!isFetchCall(request)) {
      return refuse(misuse('fetch', provider.name, request), [request, ...context], endpoint.settings.report);
    }
    if (!isEndpoint(request.url)) return Promise.resolve(new Response('Not Found', { status: 404 }));
    const waitUntil = holdIn(context, reportBroken);
    if (waitUntil === undefined && needsHold) reportNone(noWaitUntil);
    return new Promise((resolve) => {
      endpoint.serve(new FetchExchange(request, waitUntil, handler, resolve));
    });
  }, endpoint.methods);
}

const noWaitUntil =
  'no argument has waitUntil, so Workers ends all work with the answer: pass the context, hook(request, env, ctx)';

function once(report: (error: Error) => void): (message: string) => void {
  let isReported = false;
  return (message) => {
    if (!isReported) report(new Error(message));
    isReported = true;
  };
}

/**
 * The `waitUntil` of whichever argument has it: a worker's is the third, after its bindings. It does not throw, because
 * an event that is at work must not be answered as one that failed.
 */
function holdIn(context: readonly unknown[], report: (message: string) => void): Hold | undefined {
  for (const argument of context) {
    const owner = argument as WaitUntil | undefined | null;
    if (typeof owner?.waitUntil !== 'function') continue;
    return (work) => {
      try {
        owner.waitUntil(work);
      } catch (error) {
        report(
          `waitUntil failed (${toError(error).message}), so this work may be cut off: pass the request's own context`,
        );
      }
    };
  }
  return undefined;
}

function checkHandler(handler: unknown, handoff: boolean): void {
  if (handler === undefined) {
    if (!handoff) return;
    throw new TypeError(
      'there is no handler to call with the event: give one as the third argument, or sinks without handoff: true',
    );
  }
  if (typeof handler !== 'function') {
    throw new TypeError('the handler must be a function (received, request) that returns a Response');
  }
  if (!handoff) {
    throw new TypeError('the handler would never be called: give handoff: true, which sinks turn off, or no handler');
  }
}

class FetchExchange<Event, Signs extends boolean> implements AdapterRequest<Event> {
  readonly #request: Request;
  readonly waitUntil: Hold | undefined;
  readonly #handler: FetchHandler<Event, Signs> | undefined;
  readonly #resolve: (response: Response) => void;
  /** The handler's answer, which waits until its event is settled. */
  #response: Response | undefined;
  #isSettled = false;

  constructor(
    request: Request,
    waitUntil: Hold | undefined,
    handler: FetchHandler<Event, Signs> | undefined,
    resolve: (response: Response) => void,
  ) {
    this.#request = request;
    this.waitUntil = waitUntil;
    this.#handler = handler;
    this.#resolve = resolve;
  }

  get method(): string {
    return this.#request.method;
  }

  get url(): string {
    return this.#request.url;
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  readBody(limit: number, timeoutMs: number, done: OnBody): void {
    readWebBody(this.#request, limit, timeoutMs, done);
  }

  answer({ status, headers, body }: Answer): number {
    // A fetch handler must return a Response; 500 makes the sender try again.
    this.#resolve(new Response(body, { status: status === 0 ? 500 : status, headers }));
    return status;
  }

  callHandler(received: ReceivedDelivery<Event>, settle: (answer: HandlerAnswer) => void): void {
    const answered = (response: Response, error?: unknown) => {
      this.#response = response;
      settle({ status: response.status, error });
      this.#respond();
    };
    const failed = (error: unknown) => answered(new Response(null, { status: 500 }), error);
    let response: Response;
    try {
      const handler = this.#handler as FetchHandler<Event, Signs>;
      const returned = handler(received as ReceivedFrom<Event, Signs>, this.#request);
      if (isPromise(returned)) {
        Promise.resolve(returned)
          .then(checked)
          .then((response) => answered(response), failed);
        return;
      }
      // A handler that answers at once needs no promise, and no timer for the lease.
      response = checked(returned);
    } catch (error) {
      failed(error);
      return;
    }
    answered(response);
  }

  onSettled(): void {
    this.#isSettled = true;
    this.#respond();
  }

  #respond(): void {
    if (this.#isSettled && this.#response !== undefined) this.#resolve(this.#response);
  }
}

/** Checks the shape, because servers have a `Response` class of their own. */
function checked(response: Response): Response {
  if (!(Object(response).status >= 200)) throw new TypeError('the handler returned no Response: is a return missing?');
  return response;
}
