import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Metrics } from './metrics.js';
import type { Unready } from './readiness.js';

export interface StatusPages {
  /** Why no delivery can be taken, if so. */
  unready(): Promise<Unready | undefined>;
  /** Aborted when the process has begun to close. */
  readonly closing: AbortSignal;
  readonly metrics: Metrics | undefined;
  /** Called when an answer of `/ready` differs from the one before. Undefined is ready. */
  onChange(unready: Unready | undefined): void;
}

const closing: Unready = { code: 'closing', reason: 'it is closing' };

/** Answers what is not for the endpoint: `/health`, `/ready`, `/metrics`, and 404 for the rest. */
export function statusPages(pages: StatusPages): (req: IncomingMessage, res: ServerResponse) => void {
  let wasReady = true;
  const ready = async () => {
    const unready = pages.closing.aborted ? closing : await pages.unready();
    if (unready !== closing && wasReady !== (unready === undefined)) {
      wasReady = unready === undefined;
      pages.onChange(unready);
    }
    return json(unready === undefined ? 200 : 503, unready === undefined ? { ok: true } : refusal(unready.code));
  };
  const pageOf = (path: string | undefined) => {
    if (path === '/health') return json(200, { ok: true });
    if (path === '/ready') return ready();
    if (path === '/metrics' && pages.metrics !== undefined) return metricsPage(pages.metrics);
    return notFound;
  };
  return async (req, res) => {
    // What is left of a body must not hold up the next request.
    req.resume();
    const isRead = req.method === 'GET' || req.method === 'HEAD';
    const { status, type, body } = isRead ? await pageOf(req.url?.split('?')[0]) : notFound;
    res
      .writeHead(status, {
        'Content-Type': type,
        'Content-Length': Buffer.byteLength(body),
        'Cache-Control': 'no-store',
      })
      .end(body);
  };
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function json(status: number, value: object): Page {
  return { status, type: 'application/json', body: JSON.stringify(value) };
}

function refusal(error: string): object {
  return { ok: false, error };
}

const notFound = json(404, refusal('not_found'));

async function metricsPage({ contentType, text }: Metrics): Promise<Page> {
  try {
    return { status: 200, type: contentType, body: await text() };
  } catch {
    return json(500, refusal('internal'));
  }
}
