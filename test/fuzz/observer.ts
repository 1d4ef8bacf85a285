/**
 * What reaches a service, seen in front of the middleware and judged without any of its code: the headers as the
 * server's parser has them, the bytes as it hands them on, and HMAC of `node:crypto`.
 */
import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** The options of a service. Times are short, so that a run never waits long. */
export const terms = {
  secret: '9f2c6d1e5b7a48c3a0d4f86b21e97c53',
  path: '/vast/webhooks',
  /** Its clock stands still. */
  nowMs: 1_800_000_000_250,
  toleranceSeconds: 300,
  limit: 2_048,
  bodyTimeoutMs: 250,
  deadlineMs: 500,
  storeTimeoutMs: 120,
  leaseMs: 1_000,
} as const;

/** Whether a target is the endpoint beyond doubt, or something else. Of odd spellings a router may think either. */
type Reach = 'endpoint' | 'elsewhere' | 'unclear';

/** One request, as plain data. */
export interface Seen {
  /** The sender's port, by which its connection is known. */
  readonly port: number;
  readonly method: string;
  readonly target: string;
  readonly reach: Reach;
  /** The reason why it is not genuine, or undefined. */
  readonly flaw: string | undefined;
  /** Whether its body has arrived. */
  readonly isWhole: boolean;
  /** How long that took. */
  readonly bodyMs: number | undefined;
  /** The event in its body, if it is one. */
  readonly event: { readonly id: unknown } | undefined;
  /** Of its body, in hex. */
  readonly hash: string;
  /** The answer, once it was sent. */
  readonly status: number | undefined;
  /** How long that took. */
  readonly answerMs: number | undefined;
  /** Whether it is answered or its connection is gone. */
  readonly isOver: boolean;
}

export class Observed {
  readonly port: number;
  readonly reach: Reach;
  readonly #req: IncomingMessage;
  readonly #startedAt = performance.now();
  readonly #chunks: Buffer[] = [];
  #bodyMs: number | undefined;
  #status: number | undefined;
  #answerMs: number | undefined;
  #isClosed = false;

  /** `isAdapted`: a server makes a `Request` of it, or refuses where it cannot. */
  constructor(req: IncomingMessage, res: ServerResponse, isAdapted: boolean) {
    this.#req = req;
    this.port = req.socket.remotePort ?? 0;
    const { url = '', method, headers } = req;
    const isNoRequest = method === 'TRACE' || !/^[\w.:]+$/.test(headers.host ?? '');
    const reach = reachOf(url);
    this.reach = isAdapted && isNoRequest && reach === 'endpoint' ? 'unclear' : reach;
    // What the parser pushes, independent of its reader: a listener would make the stream flow.
    const { push } = req;
    req.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      if (chunk === null) this.#bodyMs ??= performance.now() - this.#startedAt;
      else this.#chunks.push(Buffer.from(chunk));
      return push.call(req, chunk, encoding);
    };
    res.once('finish', () => {
      this.#status = res.statusCode;
      this.#answerMs = performance.now() - this.#startedAt;
    });
    res.once('close', () => {
      this.#isClosed = true;
    });
  }

  get isOver(): boolean {
    // A response that waits behind others gets no 'close' when its connection is gone.
    return this.#status !== undefined || this.#isClosed || this.#req.socket.destroyed;
  }

  seen(): Seen {
    const { method = '', url = '' } = this.#req;
    const body = Buffer.concat(this.#chunks);
    return {
      port: this.port,
      method,
      target: url,
      reach: this.reach,
      flaw: this.#flawOf(body),
      isWhole: this.#bodyMs !== undefined,
      bodyMs: this.#bodyMs,
      event: eventIn(body),
      hash: createHash('sha256').update(body).digest('hex'),
      status: this.#status,
      answerMs: this.#answerMs,
      isOver: this.isOver,
    };
  }

  #flawOf(body: Buffer): string | undefined {
    const { secret, nowMs, toleranceSeconds, limit } = terms;
    if (this.#req.method !== 'POST') return 'its method';
    const [signature = '', ...signatures] = this.#values('x-vast-signature-256');
    const [timestamp = '', ...timestamps] = this.#values('x-vast-timestamp');
    if (signatures.length > 0 || timestamps.length > 0) return 'a repeated header';
    if (!/^[0-9]{1,15}$/.test(timestamp)) return 'its timestamp';
    if (Math.abs(Math.floor(nowMs / 1000) - Number(timestamp)) > toleranceSeconds) return 'its time';
    if (body.length > limit) return 'its size';
    if (this.#bodyMs === undefined) return 'its end that is missing';
    const digest = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex');
    return signature === `sha256=${digest}` ? undefined : 'its signature';
  }

  #values(name: string): string[] {
    const { rawHeaders } = this.#req;
    return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function eventIn(body: Buffer): { id: unknown } | undefined {
  const text = body.toString().replace(/^\uFEFF/, '');
  if (text.trim() === '') return { id: undefined };
  try {
    const event: unknown = JSON.parse(text);
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return undefined;
    return { id: (event as { event_id?: unknown }).event_id };
  } catch {
    return undefined;
  }
}

function reachOf(target: string): Reach {
  if (/^(https?:\/\/[\w.:]+)?\/vast\/webhooks\/?(\?[\w=&]*)?$/i.test(target)) return 'endpoint';
  return /^\/(elsewhere|other)\b/.test(target) ? 'elsewhere' : 'unclear';
}
