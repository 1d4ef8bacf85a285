import type { Outcome } from 'vast-webhook';
import type { ForwardAnswer } from './forward.js';

/** One request on the endpoint and what became of it, as the page shows it. Holds no secret of ours. */
export interface LoggedDelivery {
  readonly number: number;
  /** When it arrived, in Unix milliseconds. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** As sent, repeated ones and all. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** As text, or in base64 where it is none. */
  readonly body: string;
  readonly isBase64: boolean;
  readonly bytes: number;
  /** Whether the body was longer than what is kept. */
  readonly isCut: boolean;
  /** Why it cannot be signed and sent again. */
  readonly cannotResend: string | undefined;
  readonly result: Outcome['result'];
  readonly status: number;
  readonly code: string | undefined;
  readonly reason: string | undefined;
  readonly permanent: boolean;
  /** What went wrong, and what to change. */
  readonly message: string | undefined;
  readonly id: string | undefined;
  readonly type: string | undefined;
  readonly subject: string | undefined;
  readonly attempt: number | undefined;
  readonly durationMs: number;
  readonly skewSeconds: number | undefined;
  /** How the user's own app answered, where there is one. */
  readonly forwarded: ForwardAnswer | 'pending' | undefined;
  /** What each sink did: a word, or its error's message. */
  readonly sinks: Readonly<Record<string, string>>;
  /** Whether an earlier run of `dev` has received it. */
  readonly isEarlier: boolean;
}

/** A delivery as a line of the page's list. */
export interface DeliverySummary
  extends Pick<
    LoggedDelivery,
    | 'number'
    | 'at'
    | 'result'
    | 'status'
    | 'code'
    | 'reason'
    | 'permanent'
    | 'id'
    | 'type'
    | 'subject'
    | 'durationMs'
    | 'sinks'
    | 'isEarlier'
  > {
  /** The app's status, 0 for no answer. */
  readonly forwarded: number | 'pending' | undefined;
}

const sinkWords = ['delivered', 'already', 'skipped', 'pending'];
/** Longer texts do not fit into a line, and are in the details. */
const maxLineLength = 300;

export function summaryOf(delivery: LoggedDelivery): DeliverySummary {
  const { number, at, result, status, code, reason, permanent, id, type, subject, durationMs, isEarlier } = delivery;
  const { sinks, forwarded } = delivery;
  return {
    number,
    at,
    result,
    status,
    code,
    reason,
    permanent,
    id: id?.slice(0, maxLineLength),
    type: type?.slice(0, maxLineLength),
    subject: subject?.slice(0, maxLineLength),
    durationMs,
    isEarlier,
    forwarded: typeof forwarded === 'object' ? forwarded.status : forwarded,
    sinks: Object.fromEntries(
      Object.entries(sinks).map(([name, fared]) => [name, sinkWords.includes(fared) ? fared : 'failed']),
    ),
  };
}

type Listener = (delivery: LoggedDelivery) => void;

/** The last deliveries, and their listeners. A delivery is put again when more of it is known. */
export class DeliveryLog {
  readonly #kept: number;
  readonly #keptBytes: number;
  readonly #deliveries = new Map<number, LoggedDelivery>();
  readonly #listeners = new Set<Listener>();

  #count = 0;
  #bytes = 0;

  /** Keeps so many deliveries, and fewer when they have so many characters together. */
  constructor(kept: number, keptBytes: number) {
    this.#kept = kept;
    this.#keptBytes = keptBytes;
  }

  /** Of an earlier run. They are not listened to. */
  load(deliveries: readonly LoggedDelivery[]): void {
    for (const delivery of deliveries) {
      this.#count = Math.max(this.#count, delivery.number);
      this.#keep(delivery);
    }
  }

  nextNumber(): number {
    return ++this.#count;
  }

  put(delivery: LoggedDelivery): void {
    this.#keep(delivery);
    for (const listener of this.#listeners) listener(delivery);
  }

  #keep(delivery: LoggedDelivery): void {
    this.#bytes += sizeOf(delivery) - sizeOf(this.#deliveries.get(delivery.number));
    this.#deliveries.set(delivery.number, delivery);
    for (const [number, oldest] of this.#deliveries) {
      if (this.#deliveries.size <= this.#kept && this.#bytes <= this.#keptBytes) return;
      if (number === delivery.number) return;
      this.#deliveries.delete(number);
      this.#bytes -= sizeOf(oldest);
    }
  }

  /** The number of the oldest delivery that is kept. */
  get oldest(): number {
    const [oldest = this.#count] = this.#deliveries.keys();
    return oldest;
  }

  has(number: number): boolean {
    return this.#deliveries.has(number);
  }

  get(number: number): LoggedDelivery | undefined {
    return this.#deliveries.get(number);
  }

  all(): LoggedDelivery[] {
    return [...this.#deliveries.values()];
  }

  /** Gives a function that ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** About, in characters: the body and headers are nearly all of it. */
function sizeOf(delivery: LoggedDelivery | undefined): number {
  if (delivery === undefined) return 0;
  const headers = delivery.headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return delivery.body.length + headers + 500;
}
