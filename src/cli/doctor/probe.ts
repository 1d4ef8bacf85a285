import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { type Answer, answerTo, noAnswer } from '../shared/answer.js';
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
export async function probe(url: URL, { body, headers }: Sent, options: ProbeOptions): Promise<Probed> {
  const { timeoutMs, interrupted, way } = options;
  const startedAt = performance.now();
  const abort = new AbortController();
  const stop = () => abort.abort();
  const timer = setTimeout(stop, timeoutMs);
  interrupted.addEventListener('abort', stop);
  if (interrupted.aborted) stop();
  const asked = {
    method: 'POST',
    agent: false as const,
    signal: abort.signal,
    headers: { 'Content-Length': Buffer.byteLength(body), 'User-Agent': 'vast-webhook doctor', ...headers },
  };
  const { headAt, error, ...answer } = await post(url, asked, body, way);
  clearTimeout(timer);
  interrupted.removeEventListener('abort', stop);
  interrupted.throwIfAborted();
  const ms = performance.now() - startedAt;
  if (error !== undefined) return { ...answer, ms, failure: abort.signal.aborted ? 'timeout' : error };
  return { ...answer, ms, skewSeconds: skewOf(answer.headers.date, headAt) };
}

async function post(url: URL, asked: RequestOptions, body: string, way: Outbound | undefined): Promise<Answer> {
  if (!way?.isProxied(url)) {
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return answerTo(request(url, asked), body, maxBodyLength);
  }
  try {
    return await answerTo(await way.request(url, asked), body, maxBodyLength);
  } catch (error) {
    return noAnswer(error as NodeJS.ErrnoException);
  }
}

/** A service's clock minus this one, by its Date header, which has whole seconds. */
export function skewOf(date: string | null | undefined, now: number = Date.now()): number | undefined {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? undefined : Math.round((ms + 500 - now) / 1000);
}
