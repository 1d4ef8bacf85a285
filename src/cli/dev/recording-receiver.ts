import { AsyncLocalStorage } from 'node:async_hooks';
import { isUtf8 } from 'node:buffer';
import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type Closable, type Outcome, type Secret, type Sink, vastWebhook } from 'vast-webhook';
import type { DeliveryLog, LoggedDelivery } from './delivery-log.js';
import { type ForwardAnswer, type ForwardTarget, failedStatus } from './forward.js';

export const endpointPath = '/vast/webhooks';

export interface ReceiverOptions {
  readonly secret: Secret;
  readonly sinks: readonly Sink[];
  readonly log: DeliveryLog;
  readonly onOutcome: (outcome: Outcome) => void;
  /** Hears what no outcome can carry, such as a sink that fails after the answer. */
  readonly onError: (error: Error) => void;
  /** The user's own app. Its answer becomes the sender's. */
  readonly forward: ForwardTarget | undefined;
  readonly onForwarded: (answer: ForwardAnswer) => void;
}

export interface Receiver extends Closable {
  (req: IncomingMessage, res: ServerResponse, next: () => void): void;
}

/** More than the middleware's own limit is not shown. */
const maxBytes = 64 * 1024;
/** As long as the middleware waits for a body. */
const bodyTimeoutMs = 5_000;

/** The package's own middleware, with a log of what arrives: also of what it refuses. */
export function receiver(options: ReceiverOptions): Receiver {
  const { secret, sinks, log, onOutcome, onError, forward, onForwarded } = options;
  // An outcome does not name its request, so the async context does.
  const requests = new AsyncLocalStorage<SeenRequest>();
  const hook = vastWebhook(secret, {
    path: endpointPath,
    sinks,
    handoff: false,
    onOutcome(outcome) {
      onOutcome(outcome);
      const request = requests.getStore();
      if (request === undefined) return;
      const number = log.nextNumber();
      const put = () => log.put(loggedOf(number, request, outcome));
      const putAgain = () => {
        if (log.has(number)) put();
      };
      put();
      // What is refused by its headers is answered before its body is here.
      request.whenWhole(putAgain);
      request.onForwarded = putAgain;
      request.judged(outcome);
    },
    onError,
  });

  /** Holds the middleware's answer back until the app has answered, too. */
  async function serveAndForward(request: SeenRequest, res: ServerResponse, next: () => void, to: ForwardTarget) {
    const { req } = request;
    if (to.isLoop(req)) {
      writeAnswer(res, 508, {}, '{"ok":false,"error":"forward_loop"}');
      return;
    }
    const held = new ServerResponse(req);
    let heldBody = '';
    held.write = ((body) => {
      heldBody += body;
      return true;
    }) as typeof held.write;
    held.end = ((body = '') => {
      heldBody += body;
      return held;
    }) as typeof held.end;
    const judged = new Promise<Outcome>((resolve) => {
      request.judged = resolve;
    });
    let isElsewhere = false;
    hook(req, held, () => {
      isElsewhere = true;
      next();
    });
    if (isElsewhere) return;
    const [{ result, status }, answer] = await Promise.all([judged, request.forwardTo(to)]);
    if (answer !== undefined) onForwarded(answer);
    if (answer === undefined || (isOk(answer.status) && result === 'failed')) {
      // A 2xx would promise that our sinks have it, too.
      if (status !== 0) writeAnswer(res, status, held.getHeaders(), heldBody);
    } else if (answer.status === 0) {
      writeAnswer(res, failedStatus(answer), {}, '{"ok":false,"error":"forward_failed"}');
    } else {
      writeAnswer(res, answer.status, answer.headers, answer.body);
    }
  }

  return Object.assign(
    (req: IncomingMessage, res: ServerResponse, next: () => void) => {
      const request = new SeenRequest(req);
      requests.run(request, () => {
        if (forward === undefined) hook(req, res, next);
        else void serveAndForward(request, res, next, forward);
      });
    },
    {
      close: (timeoutMs?: number) => hook.close(timeoutMs),
      [Symbol.asyncDispose]: () => hook.close(),
    },
  );
}

function isOk(status: number): boolean {
  return status >= 200 && status <= 299;
}

function writeAnswer(res: ServerResponse, status: number, headers: OutgoingHttpHeaders, body: string): void {
  res.writeHead(status, headers).end(body);
}

/** A request, with the beginning of its body as the middleware, or nobody, reads it. */
class SeenRequest {
  readonly at = Date.now();
  readonly req: IncomingMessage;
  readonly #chunks: Buffer[] = [];
  #keptBytes = 0;
  bytes = 0;
  /** How the app answered; `pending` until then. */
  forwarded: ForwardAnswer | 'pending' | undefined;
  judged: (outcome: Outcome) => void = () => {};
  onForwarded: () => void = () => {};

  constructor(req: IncomingMessage) {
    this.req = req;
    // Its first bytes come in a later tick, so that the middleware, called in this one, misses none.
    req.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      const kept = chunk.subarray(0, maxBytes - this.#keptBytes);
      if (kept.length === 0) return;
      this.#keptBytes += kept.length;
      this.#chunks.push(kept);
    });
  }

  get body(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get isCut(): boolean {
    return this.bytes > this.#keptBytes;
  }

  whenWhole(listener: () => void): void {
    if (!this.req.complete && !this.req.destroyed) this.req.once('close', listener);
  }

  /** Undefined for what is not passed on: no POST, or not the whole body. */
  async forwardTo(target: ForwardTarget): Promise<ForwardAnswer | undefined> {
    const { req } = this;
    if (req.method !== 'POST') return undefined;
    this.forwarded = 'pending';
    const isWhole = req.complete || (await this.#isWholeSoon());
    const answer = isWhole && !this.isCut ? await target.send(req, this.body) : undefined;
    this.forwarded = answer;
    this.onForwarded();
    return answer;
  }

  #isWholeSoon(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), bodyTimeoutMs);
      const done = () => {
        clearTimeout(timer);
        resolve(this.req.complete);
      };
      this.req.once('end', done).once('close', done);
    });
  }
}

function loggedOf(number: number, request: SeenRequest, outcome: Outcome): LoggedDelivery {
  const { req, at, bytes, isCut } = request;
  const { result, status, code, reason, permanent, id, type, attempt, durationMs, skewSeconds, error } = outcome;
  const { body } = request;
  const isText = isUtf8(body);
  const text = body.toString(isText ? 'utf8' : 'base64');
  return {
    number,
    at,
    method: req.method ?? '',
    path: req.url ?? '',
    headers: pairsOf(req.rawHeaders),
    body: text,
    isBase64: !isText,
    bytes,
    isCut,
    cannotResend: whyNotAgain(request, body),
    result,
    status,
    code,
    reason,
    permanent,
    message: error?.message,
    id,
    type,
    subject: isText ? subjectOf(text) : undefined,
    attempt,
    durationMs,
    skewSeconds,
    isEarlier: false,
    forwarded: request.forwarded,
    sinks: Object.fromEntries(
      Object.entries(outcome.sinks ?? {}).map(([name, fared]) => [
        name,
        fared instanceof Error ? fared.message : fared,
      ]),
    ),
  };
}

function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    pairs.push([rawHeaders[at] as string, rawHeaders[at + 1] as string]);
  }
  return pairs;
}

function whyNotAgain({ isCut, req }: SeenRequest, body: Buffer): string | undefined {
  if (isCut || !req.complete) return 'It cannot be sent again, because only a part of its body was kept.';
  if (body.length === 0) return 'It cannot be sent again, because it had no body.';
  if (!isUtf8(body)) return 'It cannot be sent again, because its body is not text.';
  return undefined;
}

function subjectOf(body: string): string | undefined {
  try {
    const { subject } = Object(JSON.parse(body)) as { subject?: unknown };
    return typeof subject === 'string' ? subject : undefined;
  } catch {
    return undefined;
  }
}
