import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Answer, answerTo } from '../contracts/answer.js';
import type { ReceivedDelivery } from '../contracts/delivery.js';
import type { HandlerAnswer } from '../contracts/result.js';
import { type Closable, Endpoint } from '../endpoint.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import type { Secret } from '../receive/secrets.js';
import { EndpointMatch, pathOf } from './endpoint-match.js';
import { expressPlaces, type RoutedRequest } from './express-mount.js';
import { shareShape } from './express-shape.js';
import { NodeAdapterRequest, type VerifiedMessage, verifiedBy, whenAnswered } from './node-request.js';
import { isNodeCall, misuse } from './wrong-form.js';

/** The part of a request that the middleware uses. */
type Request = IncomingMessage & { body?: unknown };
type Next = (error?: unknown) => void;

const consumed = 'a body parser has consumed the raw body';
const nobodyBehind =
  'there is no next() to call with the event: call the middleware as hook(req, res, () => ...), or give it sinks';

/** Middleware for Express 4 and 5, Connect, and others that call `(req, res, next)`. */
export interface ExpressWebhook extends Closable {
  (req: Request, res: ServerResponse, next?: Next): void;
}

/** Creates the middleware for a provider's deliveries. Throws a `TypeError` for an invalid secret or option. */
export function expressWebhook<Event extends object>(
  provider: Provider<Event>,
  secret: Secret,
  options?: WebhookOptions<Event>,
): ExpressWebhook {
  const endpoint = new Endpoint(provider, secret, options);
  const match = new EndpointMatch(endpoint.settings, provider);
  const middleware = Object.assign(function webhook(req: Request, res: ServerResponse, next?: Next): void {
    if (!isNodeCall(res)) throw misuse('Express', provider.name, req);
    if (next !== undefined && (req as VerifiedMessage)[verifiedBy] === endpoint) {
      // The middleware's second place must not claim the event again.
      next();
    } else if (isEndpoint(req, next)) {
      shareShape(req, res);
      endpoint.serve(new ExpressExchange(provider.name, req, res, next, endpoint));
    } else if (next !== undefined) {
      next();
    } else {
      res.statusCode = 404;
      res.end();
    }
  }, endpoint.methods);
  const placeOf = expressPlaces(middleware);

  function isEndpoint(req: RoutedRequest, next: unknown): boolean {
    const target = req.originalUrl ?? req.url ?? '';
    if (match.matches(target)) return true;
    const { method, url = '', baseUrl = '', headers } = req;
    const place = placeOf(req, next);
    const rewritten = url === target ? [] : [url, baseUrl + url];
    return match.isEndpoint({ method, target, headers, rewritten, isAtRoot: pathOf(url) === '/', place });
  }

  return middleware;
}

class ExpressExchange<Event> extends NodeAdapterRequest<Event> {
  readonly #property: string;
  readonly #next: Next | undefined;
  readonly #endpoint: object;
  readonly rawBody: unknown;
  readonly body: unknown;

  constructor(
    property: string,
    req: Request & { rawBody?: unknown },
    res: ServerResponse,
    next: Next | undefined,
    endpoint: object,
  ) {
    super(req, res);
    this.#endpoint = endpoint;
    this.#property = property;
    this.#next = next;
    this.rawBody = req.rawBody;
    this.body = req.body;
  }

  get cure(): string {
    const isExpress = (this.req as RoutedRequest).baseUrl !== undefined;
    return isExpress
      ? `${consumed}: put the middleware before express.json(), or keep the bytes with express.json({ verify: keepRawBody })`
      : `${consumed}: call the middleware before it, or leave the raw bytes on req.rawBody as a Buffer`;
  }

  callHandler(received: ReceivedDelivery<Event>, settle: (answer: HandlerAnswer) => void): void {
    // `_body` stops the parsers of Express 4. Those of Express 5 see that the stream has ended.
    const req = this.req as unknown as Record<string, unknown>;
    req[this.#property] = received;
    req.body = received.event;
    req._body = true;
    (this.req as VerifiedMessage)[verifiedBy] = this.#endpoint;
    whenAnswered(this.res, settle);
    if (this.#next === undefined) {
      settle({ status: 500, error: new Error(nobodyBehind) });
      this.answer(answerTo('internal'));
      return;
    }
    try {
      this.#next();
    } catch (error) {
      settle({ status: 0, error });
      // Routers catch what handlers throw. Without a router, rethrow, so that it is an uncaughtException as usual.
      process.nextTick(() => {
        throw error;
      });
    }
  }

  protected write({ status, headers, body }: Answer): void {
    this.res.statusCode = status;
    for (const name in headers) this.res.setHeader(name, headers[name] as string);
    this.res.end(body);
  }

  protected unanswered(): void {}
}
