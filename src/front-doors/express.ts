import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from '../answer.js';
import { type Closable, Endpoint } from '../endpoint.js';
import type { HandlerAnswer } from '../forward/run.js';
import type { WebhookOptions } from '../options.js';
import type { Provider } from '../providers/provider.js';
import type { Received } from '../receive/delivery.js';
import type { Secret } from '../receive/secrets.js';
import { expressEndpoint } from './express-mount.js';
import { shareShape } from './express-shape.js';
import { NodeExchange, whenAnswered } from './node-exchange.js';

/** A request as far as the middleware looks at it. */
type Request = IncomingMessage & { body?: unknown };
type Next = (error?: unknown) => void;

/** Middleware for Express 4 and 5, Connect, and whatever else calls `(req, res, next)`. */
export interface ExpressWebhook extends Closable {
  (req: Request, res: ServerResponse, next: Next): void;
}

/** The middleware for a sender's deliveries. Throws a `TypeError` as what it is made for documents. */
export function expressWebhook<Event extends object>(
  provider: Provider<Event>,
  secret: Secret,
  options?: WebhookOptions<Event>,
): ExpressWebhook {
  const endpoint = new Endpoint(provider, secret, options);
  const middleware = Object.assign(
    function webhook(req: Request, res: ServerResponse, next: Next): void {
      if (!isEndpoint(req)) {
        next();
        return;
      }
      shareShape(req, res);
      endpoint.serve(new ExpressExchange(provider.name, req, res, next));
    },
    {
      close: (timeoutMs?: number) => endpoint.close(timeoutMs),
      [Symbol.asyncDispose]: () => endpoint.close(),
    },
  );
  const isEndpoint = expressEndpoint(middleware, endpoint.settings.path, provider.path);
  return middleware;
}

class ExpressExchange<Event> extends NodeExchange<Event> {
  readonly #property: string;
  readonly #next: Next;
  protected readonly rawBody: unknown;
  protected readonly body: unknown;

  constructor(property: string, req: Request & { rawBody?: unknown }, res: ServerResponse, next: Next) {
    super(req, res);
    this.#property = property;
    this.#next = next;
    this.rawBody = req.rawBody;
    this.body = req.body;
  }

  handOn(received: Received<Event>, settle: (answer: HandlerAnswer) => void): void {
    // `_body` keeps the parsers of Express 4 away, those of Express 5 see that the stream has ended.
    const req = this.req as unknown as Record<string, unknown>;
    req[this.#property] = received;
    req.body = received.event;
    req._body = true;
    whenAnswered(this.res, settle);
    try {
      this.#next();
    } catch (error) {
      settle({ status: 0, error });
      // Routers catch what handlers throw. Where there is none, it ends where it would have without us.
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
