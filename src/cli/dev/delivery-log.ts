import type { Outcome } from 'vast-webhook';

/** One request on the endpoint and what became of it, as the page shows it. Holds no secret of ours. */
export interface LoggedDelivery {
  readonly number: number;
  /** When it arrived, in Unix milliseconds. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** As sent, repeated ones and all. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
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
  /** What each sink did: a word, or its error's message. */
  readonly sinks: Readonly<Record<string, string>>;
}

type Listener = (delivery: LoggedDelivery) => void;

/** The last deliveries, and their listeners. A delivery is sent again when more of it has arrived. */
export class DeliveryLog {
  readonly kept: number;
  readonly #deliveries = new Map<number, LoggedDelivery>();
  readonly #listeners = new Set<Listener>();

  #count = 0;

  constructor(kept: number) {
    this.kept = kept;
  }

  nextNumber(): number {
    return ++this.#count;
  }

  put(delivery: LoggedDelivery): void {
    const [oldest] = this.#deliveries.keys();
    const isKnown = this.#deliveries.has(delivery.number);
    if (!isKnown && oldest !== undefined && this.#deliveries.size >= this.kept) this.#deliveries.delete(oldest);
    this.#deliveries.set(delivery.number, delivery);
    for (const listener of this.#listeners) listener(delivery);
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
