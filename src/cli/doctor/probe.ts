import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Outbound } from '../shared/proxied-fetch.js';

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

export interface ProbeOptions {
  readonly timeoutMs: number;
  readonly interrupted: AbortSignal;
  /** Taken for what must go through a proxy. Otherwise only those certificates count that Vast.ai knows as well. */
  readonly way?: Outbound;
}

/** Sends as Vast.ai does: a new connection, no redirect followed. Does not reject, unless it is interrupted. */
export function probe(url: URL, { body, headers }: Sent, options: ProbeOptions): Promise<Probed> {
  const { timeoutMs, interrupted, way } = options;
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort('timeout'), timeoutMs);
    const stop = () => abort.abort('interrupted');
    interrupted.addEventListener('abort', stop);
    if (interrupted.aborted) stop();
    const clear = () => {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', stop);
    };
    const fail = (error: NodeJS.ErrnoException) => {
      clear();
      if (interrupted.aborted) reject(interrupted.reason);
      const failure = abort.signal.aborted ? 'timeout' : (error.code ?? 'unknown error');
      resolve({ status: 0, headers: {}, body: '', ms: performance.now() - startedAt, failure });
    };
    const asked = {
      method: 'POST',
      agent: false as const,
      signal: abort.signal,
      headers: { 'Content-Length': Buffer.byteLength(body), 'User-Agent': 'vast-webhook doctor', ...headers },
    };
    const onResponse = (response: IncomingMessage) => {
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
    };
    const send = (request: ClientRequest) => {
      request.on('error', fail).on('response', onResponse).on('close', clear).end(body);
    };
    if (way?.isProxied(url)) way.request(url, asked).then(send, fail);
    else send((url.protocol === 'https:' ? httpsRequest : httpRequest)(url, asked));
  });
}

/** A service's clock minus this one, by its Date header, which has whole seconds. */
export function skewOf(date: string | null | undefined): number | undefined {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? undefined : Math.round((ms + 500 - Date.now()) / 1000);
}
