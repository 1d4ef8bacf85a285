import { AsyncLocalStorage } from 'node:async_hooks';
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Closable, type Outcome, type Secret, type Sink, vastWebhook } from 'vast-webhook';
import type { DeliveryLog, LoggedDelivery } from './delivery-log.js';

export const endpointPath = '/vast/webhooks';

export interface ReceiverOptions {
  readonly secret: Secret;
  readonly sinks: readonly Sink[];
  readonly log: DeliveryLog;
  readonly onOutcome: (outcome: Outcome) => void;
  /** Hears what no outcome can carry, such as a sink that fails after the answer. */
  readonly onError: (error: Error) => void;
}

export interface Receiver extends Closable {
  (req: IncomingMessage, res: ServerResponse, next: () => void): void;
}

/** More than the middleware's own limit is not shown. */
const maxBytes = 64 * 1024;

/** The package's own middleware, with a log of what arrives: also of what it refuses. */
export function receiver({ secret, sinks, log, onOutcome, onError }: ReceiverOptions): Receiver {
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
      log.put(loggedOf(number, request, outcome));
      // What is refused by its headers is answered before its body is here.
      request.whenWhole(() => {
        if (log.has(number)) log.put(loggedOf(number, request, outcome));
      });
    },
    onError,
  });
  return Object.assign(
    (req: IncomingMessage, res: ServerResponse, next: () => void) =>
      requests.run(new SeenRequest(req), () => hook(req, res, next)),
    {
      close: (timeoutMs?: number) => hook.close(timeoutMs),
      [Symbol.asyncDispose]: () => hook.close(),
    },
  );
}

/** A request, with the beginning of its body as the middleware, or nobody, reads it. */
class SeenRequest {
  readonly at = Date.now();
  readonly req: IncomingMessage;
  readonly #chunks: Buffer[] = [];
  #keptBytes = 0;
  bytes = 0;

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
}

function loggedOf(number: number, request: SeenRequest, outcome: Outcome): LoggedDelivery {
  const { req, at, bytes, isCut } = request;
  const { result, status, code, reason, permanent, id, type, attempt, durationMs, skewSeconds, error } = outcome;
  const body = request.body;
  const text = body.toString();
  return {
    number,
    at,
    method: req.method ?? '',
    path: req.url ?? '',
    headers: pairsOf(req.rawHeaders),
    body: text,
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
    subject: subjectOf(text),
    attempt,
    durationMs,
    skewSeconds,
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
