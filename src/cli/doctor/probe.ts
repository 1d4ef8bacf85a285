import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** How an endpoint answered one POST. */
export interface Probed {
  /** 0 when there was no answer. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The beginning of it. */
  readonly body: string;
  readonly ms: number;
  /** The endpoint's clock minus this one, in seconds, where it gave its own. */
  readonly skewSeconds?: number;
  /** Why there was none: Node's code, or `timeout`. */
  readonly failure?: string;
}

interface Sent {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

const maxBodyLength = 4_096;

/** Sends as Vast.ai does: a new connection, no redirect followed. Does not reject, unless it is interrupted. */
export function probe(url: URL, { body, headers }: Sent, timeoutMs: number, interrupted: AbortSignal): Promise<Probed> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort('timeout'), timeoutMs);
    const stop = () => abort.abort('interrupted');
    interrupted.addEventListener('abort', stop);
    if (interrupted.aborted) stop();
    const fail = (error: NodeJS.ErrnoException) => {
      if (interrupted.aborted) reject(interrupted.reason);
      const failure = abort.signal.aborted ? 'timeout' : (error.code ?? 'unknown error');
      resolve({ status: 0, headers: {}, body: '', ms: performance.now() - startedAt, failure });
    };
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, {
      method: 'POST',
      agent: false,
      signal: abort.signal,
      headers: { 'Content-Length': Buffer.byteLength(body), 'User-Agent': 'vast-webhook doctor', ...headers },
    });
    request.on('error', fail);
    request.on('response', (response) => {
      const skewSeconds = skewOf(response.headers.date);
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        if (text.length < maxBodyLength) text += part;
      });
      response.on('error', fail);
      response.on('end', () => {
        const { statusCode: status = 0, headers: answered } = response;
        resolve({ status, headers: answered, body: text, ms: performance.now() - startedAt, skewSeconds });
      });
    });
    request.on('close', () => {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', stop);
    });
    request.end(body);
  });
}

/** A service's clock minus this one, by its Date header, which has whole seconds. */
export function skewOf(date: string | null | undefined): number | undefined {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? undefined : Math.round((ms + 500 - Date.now()) / 1000);
}
