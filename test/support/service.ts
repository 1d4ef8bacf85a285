/** What the tests of every adapter know of a service, whatever runs it. Without a framework, so that a worker can load it. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Closable, Outcome, Received, Secret, VastEvent, Verified } from '../../src/index.js';
import type { WebhookOptions } from '../../src/options.js';
import { type Answer, type Connection, type Message, nowMs } from './requests.js';

/** What the framework passes to a handler behind the middleware. */
export interface Handled {
  readonly vast: Verified<VastEvent> | undefined;
  /** The same, of whatever provider the service is for. */
  readonly received: Received<object> | undefined;
  readonly body: unknown;
  /** Resolves when the sender has hung up or the answer is out. */
  closed(): Promise<unknown>;
  /** Sends a part of an answer, where the framework has ways to. */
  write(part: string): void;
}

/** Answers with a status, or throws. */
export type Handler = (handled: Handled) => number | Promise<number>;

/** The ways to mount the middleware, each with its endpoint. */
export const mountings = {
  'at the top level': '/vast/webhooks',
  'with a path': '/hooks/x',
  'under a mount': '/hooks/vast',
  'on a route': '/hooks/vast',
} as const;
export type Mounting = keyof typeof mountings;

export interface Setup {
  readonly provider?: 'vast' | 'shodai' | 'v0' | 'comet' | 'rocket' | 'beacon' | 'pulsar';
  readonly secret?: Secret;
  readonly options?: WebhookOptions;
  readonly mounting?: Mounting;
  /** The service's own handler of the endpoint, which answers 204 by default. */
  readonly handler?: Handler;
  /** Runs before the middleware, and calls it with `next`. */
  readonly around?: (next: () => unknown, req: IncomingMessage, res: ServerResponse) => unknown;
  /** Body parsers of the framework before and behind the middleware, by their names in the adapter. */
  readonly parserBefore?: string;
  readonly parserBehind?: string;
}

/** The body that a parser leaves for later middleware. */
export interface Parser<Middleware> {
  readonly make: () => Middleware;
  readonly leaves: 'bytes' | 'text' | 'nothing';
  /** Whether it reads the stream although a body is there already. */
  readonly insists?: boolean;
}

/** A running service with the middleware in it, a handler on the endpoint, and `POST /elsewhere` that echoes JSON. */
export interface Service {
  readonly port: number;
  readonly endpoint: string;
  readonly hook: Closable;
  /** The outcomes so far. */
  readonly outcomes: readonly Outcome[];
  /** The errors that `onError` got. */
  readonly errors: readonly Error[];
  /** The calls of the handler so far. */
  readonly handled: readonly Handled[];
  /** The nth outcome, from 1, when it is there. */
  outcome(nth?: number): Promise<Outcome>;
  /** The nth call of the handler, from 1, when it is there. */
  handling(nth?: number): Promise<Handled>;
  /** Resolves when the service has seen the head of its next request. */
  arrival(): Promise<unknown>;
  connect(): Promise<Connection>;
  /** One request on a connection of its own. */
  send(message: Message): Promise<Answer>;
  stop(): Promise<void>;
}

/** A setup whose outcomes, errors and handler calls are recorded. */
export function recorded({ handler = () => 204, mounting = 'at the top level', options, ...setup }: Setup) {
  const endpoint = mounting === 'at the top level' ? `/${setup.provider ?? 'vast'}/webhooks` : mountings[mounting];
  const outcomes = new Log<Outcome>();
  const handled = new Log<Handled>();
  const errors: Error[] = [];
  return {
    outcomes,
    handled,
    errors,
    endpoint,
    setup: {
      ...setup,
      mounting,
      options: {
        now: () => nowMs,
        onError: (error: Error) => errors.push(error),
        ...(mounting === 'with a path' && { path: endpoint }),
        ...options,
        onOutcome(outcome: Outcome) {
          outcomes.add(outcome);
          return options?.onOutcome?.(outcome);
        },
      } as WebhookOptions,
    },
    handler(call: Handled) {
      handled.add(call);
      return handler(call);
    },
  };
}

/** Entries that can be waited for. */
class Log<T> {
  readonly entries: T[] = [];
  #waiting: (() => void)[] = [];

  add(entry: T): void {
    this.entries.push(entry);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async nth(nth: number): Promise<T> {
    while (this.entries.length < nth) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    return this.entries[nth - 1] as T;
  }
}
