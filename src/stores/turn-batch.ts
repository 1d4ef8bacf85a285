/** A call of a store: its three arguments. */
export interface StoreCall {
  readonly key: string;
  readonly token: string;
  readonly argument: number | string;
}

interface Waiting<Answer> {
  readonly call: StoreCall;
  resolve(answer: Answer | PromiseLike<Answer>): void;
  reject(error: unknown): void;
}

/** How many statements of a store run at the moment. */
export interface Running {
  count: number;
}

/** Each event holds a lock until the statement ends, and the server's table of locks is shared. */
const maxCalls = 64;

/**
 * Calls of one operation that come in one turn of the event loop, and that share a round trip. While no statement of
 * the store runs, a call is made at once, so that a single delivery waits for nobody.
 */
export class TurnBatch<Answer> {
  readonly #one: (call: StoreCall) => Promise<Answer>;
  readonly #many: (calls: readonly StoreCall[]) => Promise<readonly (Answer | undefined)[]>;
  readonly #running: Running;
  /** By their keys, because a statement changes a row once. */
  #waiting = new Map<string, Waiting<Answer>>();

  /**
   * `one` makes a call alone. `many` makes several of different keys: an answer is undefined where the call must be
   * made alone. It rejects with a `WasRolledBack` when nothing was done.
   */
  constructor(
    one: (call: StoreCall) => Promise<Answer>,
    many: (calls: readonly StoreCall[]) => Promise<readonly (Answer | undefined)[]>,
    running: Running,
  ) {
    this.#one = one;
    this.#many = many;
    this.#running = running;
  }

  add(call: StoreCall): Promise<Answer> {
    if (this.#running.count === 0 || this.#waiting.has(call.key)) return this.#alone(call);
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) setImmediate(() => this.#flush());
      this.#waiting.set(call.key, { call, resolve, reject });
      if (this.#waiting.size === maxCalls) this.#flush();
    });
  }

  #alone(call: StoreCall): Promise<Answer> {
    this.#running.count++;
    const end = () => this.#running.count--;
    try {
      return this.#one(call).finally(end);
    } catch (error) {
      // Of a wrapped pool. Nobody could catch it in setImmediate, and it would end the process.
      end();
      return Promise.reject(error);
    }
  }

  #flush(): void {
    const batch = [...this.#waiting.values()];
    this.#waiting = new Map();
    const [first] = batch;
    if (first === undefined) return;
    if (batch.length === 1) first.resolve(this.#alone(first.call));
    else this.#together(batch);
  }

  #together(batch: readonly Waiting<Answer>[]): void {
    this.#running.count++;
    const end = () => this.#running.count--;
    this.#many(batch.map(({ call }) => call)).then(
      (answers) => {
        end();
        for (const [index, { call, resolve }] of batch.entries()) {
          const answer = answers[index];
          resolve(answer === undefined ? this.#alone(call) : answer);
        }
      },
      (error) => {
        end();
        for (const { call, resolve, reject } of batch) {
          if (error instanceof WasRolledBack) resolve(this.#alone(call));
          else reject(error);
        }
      },
    );
  }
}

/** The statement failed and changed nothing, which one of its calls may be the reason for. */
export class WasRolledBack extends Error {}
