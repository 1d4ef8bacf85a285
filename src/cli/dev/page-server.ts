import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import template from 'virtual:dev-page';
import { vastTypes } from 'vast-webhook';
import { chatMessages } from './chat-messages.js';
import { type DeliveryLog, type DeliverySummary, type LoggedDelivery, summaryOf } from './delivery-log.js';
import type { Explanation } from './explain.js';

/** Where deliveries are expected, as it is known by now. */
export interface Places {
  readonly receiver: string;
  /** The webhook's address at Vast.ai, where there is one. */
  readonly webhook: string | undefined;
  readonly forwardTo: string | undefined;
}

/** What came of an order, for the user. */
export interface Done {
  readonly message: string;
  /** Whether the event had been taken before, so that nothing was delivered. */
  readonly isDuplicate?: boolean;
}

/** What the page's buttons do. An error's message is a sentence for the user. */
export interface PageActions {
  /** With another event id, or to another address than the receiver. */
  resend(delivery: LoggedDelivery, changes: { readonly hasNewId: boolean; readonly to?: string }): Promise<Done>;
  trigger(type: string, to?: string): Promise<Done>;
  explain(delivery: LoggedDelivery): Promise<Explanation | undefined>;
}

export interface Page {
  (req: IncomingMessage, res: ServerResponse): void;
  /** Where deliveries are expected from now on. */
  place(places: Places): void;
  /** Ends the open event streams. */
  close(): void;
}

/** The first message of the event stream. */
export interface PageStart {
  readonly run: string;
  readonly types: readonly string[];
}

/** Further ones: the newest last. Those below `oldest` are not kept any more. */
export interface PageBatch {
  readonly oldest: number;
  readonly deliveries: readonly DeliverySummary[];
}

/** All that is known of a delivery. */
export interface PageDetail {
  readonly delivery: LoggedDelivery;
  readonly explanation: Explanation | undefined;
}

/** A wrong order: one that the page does not give. */
export class WrongOrder extends Error {}

const methods: Readonly<Record<string, readonly string[]>> = {
  '/': ['GET', 'HEAD'],
  '/events': ['GET'],
  '/detail': ['POST'],
  '/messages': ['POST'],
  '/resend': ['POST'],
  '/trigger': ['POST'],
};
const maxOrderBytes = 1_000;
const heartbeatMs = 15_000;
/** Deliveries that come in bursts are shown together. */
const batchMs = 50;
/** So many are parsed by the browser within a frame. */
const maxBatch = 250;
/** A browser that has stopped reading is cut off, and gets everything when it comes back. */
const maxUnreadBytes = 32 * 1024 * 1024;

/**
 * The page with the deliveries, for loopback. A page elsewhere can neither read nor drive it: the host must be loopback
 * (so that no name of theirs leads here), an order must come from the page itself and hold this run's token, which
 * only the page can know.
 */
export function devPage(log: DeliveryLog, actions: PageActions): Page {
  const run = randomBytes(8).toString('hex');
  const token = randomBytes(32).toString('hex');
  const html = template.replace('{{run}}', run).replace('{{token}}', token);
  const headers = {
    'Content-Security-Policy': policyOf(html),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
  };
  const streams = new Set<ServerResponse>();
  let places: Places | undefined;
  const waiting = new Map<number, DeliverySummary>();
  let timer: NodeJS.Timeout | undefined;
  const stopListening = log.listen((delivery) => {
    waiting.set(delivery.number, summaryOf(delivery));
    timer ??= setTimeout(flush, batchMs).unref();
  });
  const heartbeat = setInterval(() => {
    for (const stream of streams) stream.write(':\n\n');
  }, heartbeatMs);
  heartbeat.unref();

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    const deliveries = [...waiting.values()];
    waiting.clear();
    for (const stream of streams) sendAll(stream, deliveries);
  }

  function sendAll(stream: ServerResponse, deliveries: readonly DeliverySummary[]): void {
    for (let at = 0; at < deliveries.length; at += maxBatch) {
      send(stream, 'deliveries', { oldest: log.oldest, deliveries: deliveries.slice(at, at + maxBatch) });
    }
  }

  function serve(req: IncomingMessage, res: ServerResponse): void {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    // Whatever somebody sends who is not to send anything is not left to stop the connection.
    res.once('finish', () => req.resume());
    const [status, why] = refusalOf(req) ?? [];
    if (status !== undefined) {
      res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${why}\n`);
    } else if (req.url === '/') {
      res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(html);
    } else if (req.url === '/events') {
      stream(res);
    } else {
      void obey(req, res);
    }
  }

  function refusalOf(req: IncomingMessage): [status: number, why: string] | undefined {
    const { url = '', method = '', headers } = req;
    if (!isLoopback(headers.host)) return [403, 'This page is for loopback addresses only.'];
    if (!Object.hasOwn(methods, url)) return [404, 'There is nothing here.'];
    if (!methods[url]?.includes(method)) return [405, 'Not with this method.'];
    if (url === '/') return undefined;
    if (!isFromPage(req)) return [403, 'This is for the page itself only.'];
    if (url !== '/events' && !(headers.origin && holdsToken(req)))
      return [403, 'Reload the page: it is of another run.'];
    return undefined;
  }

  function stream(res: ServerResponse): void {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write('retry: 1000\n\n');
    send(res, 'start', { run, types: Object.keys(vastTypes).sort() } satisfies PageStart);
    if (places !== undefined) send(res, 'places', places);
    sendAll(res, log.all().map(summaryOf));
    send(res, 'ready', {});
    streams.add(res);
    res.once('close', () => streams.delete(res));
  }

  async function obey(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      answer(res, 200, await orders[req.url as keyof typeof orders](await orderIn(req)));
    } catch (error) {
      answer(res, error instanceof WrongOrder ? 400 : 502, { message: (error as Error).message });
    }
  }

  const orders = {
    async '/detail'(order: Order): Promise<PageDetail> {
      const delivery = deliveryOf(order);
      return { delivery, explanation: await actions.explain(delivery) };
    },
    '/messages': (order: Order) => chatMessages(deliveryOf(order)),
    async '/resend'(order: Order): Promise<Done> {
      const delivery = deliveryOf(order);
      if (delivery.cannotResend !== undefined) throw new WrongOrder(delivery.cannotResend);
      return actions.resend(delivery, { hasNewId: order.hasNewId === true, to: addressIn(order) });
    },
    async '/trigger'(order: Order): Promise<Done> {
      const { type } = order;
      if (typeof type !== 'string' || !Object.hasOwn(vastTypes, type)) throw new WrongOrder('There is no such type.');
      return actions.trigger(type, addressIn(order));
    },
  };

  function deliveryOf({ number }: Order): LoggedDelivery {
    if (typeof number !== 'number') throw new WrongOrder('Which delivery?');
    const delivery = log.get(number);
    if (delivery === undefined) throw new WrongOrder(`Delivery ${number} is not here any more.`);
    return delivery;
  }

  function holdsToken({ headers }: IncomingMessage): boolean {
    const given = Buffer.from(String(headers['x-dev-token'] ?? ''));
    return given.length === token.length && timingSafeEqual(given, Buffer.from(token));
  }

  return Object.assign(serve, {
    place(known: Places) {
      places = known;
      for (const stream of streams) send(stream, 'places', places);
    },
    close() {
      stopListening();
      flush();
      clearInterval(heartbeat);
      for (const stream of streams) stream.end();
    },
  });
}

interface Order {
  readonly number?: unknown;
  readonly type?: unknown;
  readonly to?: unknown;
  readonly hasNewId?: unknown;
}

function addressIn({ to }: Order): string | undefined {
  if (to !== undefined && typeof to !== 'string') throw new WrongOrder('The address must be a text.');
  return to;
}

async function orderIn(req: IncomingMessage): Promise<Order> {
  // What a form of another page can send is of another type.
  if (req.headers['content-type']?.toLowerCase() !== 'application/json') throw new WrongOrder('It must be JSON.');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxOrderBytes) throw new WrongOrder('That is too long.');
    chunks.push(chunk);
  }
  try {
    return Object(JSON.parse(Buffer.concat(chunks).toString()));
  } catch {
    throw new WrongOrder('It must be JSON.');
  }
}

function send(res: ServerResponse, event: string, value: unknown): void {
  if (res.writableLength > maxUnreadBytes) res.destroy();
  else res.write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`);
}

function answer(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}

/** Any port: the browser may come through a forwarded one. */
function isLoopback(host: string | undefined): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i.test(host ?? '');
}

/** Browsers say where a request comes from, by one header or both. */
function isFromPage({ headers }: IncomingMessage): boolean {
  const { host, origin } = headers;
  const site = headers['sec-fetch-site'];
  return (origin === undefined || origin === `http://${host}`) && (site === undefined || site === 'same-origin');
}

/** Nothing but the page's own script and style, known by their hashes, and nothing that would parse text as markup. */
function policyOf(html: string): string {
  const hashOf = (tag: string) => {
    const [, content = ''] = html.match(new RegExp(`<${tag}>(.*?)</${tag}>`, 's')) ?? [];
    return `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  };
  return [
    "default-src 'none'",
    `script-src ${hashOf('script')}`,
    `style-src ${hashOf('style')}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}
