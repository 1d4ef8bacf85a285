import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { answerTo } from '../shared/answer.js';
import { UsageError } from '../shared/errors.js';

/** How the user's own app answered a delivery. */
export interface ForwardAnswer {
  /** 0 when there was no answer. */
  readonly status: number;
  /** Why there was none: a code such as ECONNREFUSED. */
  readonly error: string | undefined;
  /** The beginning of the body. */
  readonly body: string;
  readonly ms: number;
  /** Headers of the answer that mean something to the sender. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What the sender is answered when the app did not answer. */
export function failedStatus({ error }: ForwardAnswer): number {
  return error === 'ETIMEDOUT' ? 504 : 502;
}

/** The user's own app, which gets each delivery as it came. */
export interface ForwardTarget {
  readonly url: URL;
  /** Whether a request has come through here before, so that to forward it again would never end. */
  isLoop(req: IncomingMessage): boolean;
  /** Does not reject. */
  send(req: IncomingMessage, body: Buffer): Promise<ForwardAnswer>;
  close(): void;
}

/** The sender gives up after 10 s, and our answer must be out before. */
const timeoutMs = 9_000;
const maxAnswerLength = 2_000;

/**
 * They belong to one connection, or are written anew for the next one; and `dev` reads no answer that is compressed.
 */
const ofConnection = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Throws a `UsageError` for an address that nothing can be sent to. */
export function forwardUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError(
      '--forward-to must be an http:// or https:// address, such as http://127.0.0.1:3000/vast/webhooks',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('--forward-to takes no user or password: the headers of a delivery are passed on unchanged');
  }
  return url;
}

/** Passes requests on with the bytes and headers that they came with. `run` names this process. */
export function forwardTarget(url: URL, run: string): ForwardTarget {
  const isHttps = url.protocol === 'https:';
  const agent = new (isHttps ? HttpsAgent : HttpAgent)({ keepAlive: true });
  const request = isHttps ? httpsRequest : httpRequest;
  const via = `1.1 vast-webhook-dev-${run}`;
  return {
    url,
    isLoop: ({ headers }) => String(headers.via ?? '').includes(via),
    async send(req, body) {
      const startedAt = performance.now();
      const headers = [...passedOn(req), 'Host', url.host, 'Content-Length', String(body.length), 'Via', via];
      const outgoing = request(url, { agent, method: 'POST', headers });
      // A limit for the whole answer, because one that trickles would keep the sender waiting.
      const timer = setTimeout(
        () => outgoing.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })),
        timeoutMs,
      );
      const answer = await answerTo(outgoing, body, maxAnswerLength);
      clearTimeout(timer);
      const { status, error, body: text } = answer;
      return { status, error, body: text, ms: performance.now() - startedAt, headers: keptOf(answer.headers) };
    },
    close: () => agent.destroy(),
  };
}

function passedOn({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = String(headers.connection ?? '')
    .toLowerCase()
    .split(/\s*,\s*/);
  const left: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = rawHeaders.slice(at, at + 2) as [string, string];
    if (!ofConnection.has(name.toLowerCase()) && !named.includes(name.toLowerCase())) left.push(name, value);
  }
  return left;
}

function keptOf(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  const names = ['content-type', 'retry-after'];
  return Object.fromEntries(
    names.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])),
  );
}
