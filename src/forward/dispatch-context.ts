import type { Delivery } from '../contracts/delivery.js';
import type { SinkContext } from '../contracts/sink.js';
import type { AbortListener, HasAbort } from '../util/on-abort.js';
import type { Hold } from '../util/shared-work.js';

const none: readonly AbortListener[] = [];

/** One per dispatch. Makes its AbortController only when a sink asks for the signal, because that takes a kilobyte. */
export class DispatchContext implements SinkContext, HasAbort {
  /** A property of each object, and not of the class, so that `{ ...context }` has it. */
  static readonly #signal: PropertyDescriptor = {
    enumerable: true,
    get(this: DispatchContext) {
      return this.#getSignal();
    },
  };

  declare readonly signal: AbortSignal;
  readonly delivery: Delivery;
  readonly deadlineAt: number | undefined;
  readonly waitUntil: Hold | undefined;
  #reason: Error | undefined;
  #abort: AbortController | undefined;
  #listeners = none;

  constructor(delivery: Delivery, deadlineAt: number, waitUntil: Hold | undefined) {
    this.delivery = delivery;
    this.waitUntil = waitUntil;
    this.deadlineAt = deadlineAt === Number.POSITIVE_INFINITY ? undefined : deadlineAt;
    Object.defineProperty(this, 'signal', DispatchContext.#signal);
  }

  #getSignal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  abort(reason: Error): void {
    this.#reason = reason;
    this.#abort?.abort(reason);
    for (const listener of this.#listeners) listener(reason);
  }

  onAbort(listener: AbortListener): () => void {
    if (this.#reason !== undefined) throw this.#reason;
    this.#listeners = this.#listeners.concat(listener);
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener);
    };
  }
}
