/** What the sinks of this package are made of, for sinks of your own. */
import type { Delivery } from '../contracts/delivery.js';
import { type Sink, sinkName } from '../contracts/sink.js';
import { aFunction, anything, aString, type Check, checkOptions } from '../util/check-options.js';
import {
  type Answer,
  checkMessage,
  type HttpSinkOptions,
  httpSinkChecks,
  poster,
  type RequestOptions,
  saysNo,
} from './post.js';
import { type EventSummary, summaryOf } from './summary.js';

export type { Severity } from '../providers/provider.js';
export type { Answer, HttpSinkOptions, RequestOptions } from './post.js';
export { type EventSummary, happened, summaryOf } from './summary.js';
export { cut, withoutMarkdown, withoutMarkup, withoutTags } from './text.js';

/** Settings of `chatSink`. */
export interface ChatSinkSettings<Event, Message extends object = object> extends HttpSinkOptions {
  /** Names the sink in the store and in outcomes, and the service in errors. */
  readonly name: string;
  /** The webhook's URL. No error has it, because it is a secret. */
  readonly url: string;
  /** The message about an event, which is posted as JSON. Escape the texts and cut them to the service's limits. */
  message(summary: EventSummary, about: { readonly event: Event; readonly delivery: Delivery }): Message;
  /** Added to the request's headers, such as an access token. No error has them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether an answer with a 2xx is a refusal, which is then permanent. Default: `ok: false` or `success: false`. */
  isRefusal?(answer: Answer, text: string, status: number): boolean;
}

/**
 * Makes a sink of a function that makes a message. 2xx is success, whatever becomes of the answer's body. 408, 429 and
 * 5xx can be retried, with `Retry-After`. Other answers are permanent failures, and redirects are not followed.
 * Throws a `TypeError` for an invalid setting.
 */
export function chatSink<Event extends object, Message extends object = object>(
  settings: ChatSinkSettings<Event, Message>,
): Sink<Event> {
  checkOptions(
    settings,
    {
      ...httpSinkChecks,
      name: sinkName,
      url: anything,
      message: aFunction,
      headers: someHeaders,
      isRefusal: aFunction,
    },
    'chatSink',
  );
  const { name, url, message, headers, isRefusal, fetch, timeoutMs } = settings;
  if (!sinkName[0](name)) throw new TypeError(`chatSink: the option name must be ${sinkName[1]}`);
  if (typeof message !== 'function') throw new TypeError('chatSink: the option message must be a function');
  const post = poster(name, url, { fetch, timeoutMs }, { isRefusal: isRefusal ?? saysNo });
  return {
    name,
    async deliver(event, context) {
      const { delivery } = context;
      const made = checkMessage(name, 'message', message(summaryOf(event, delivery), { event, delivery }));
      await post(JSON.stringify(made), context, { headers });
    },
  };
}

const aSignal: Check = [(value) => value instanceof AbortSignal, 'an AbortSignal'];
const aTime: Check = [Number.isFinite, 'a time of performance.now()'];
const postOrPut: Check = [(value) => value === 'POST' || value === 'PUT', 'POST or PUT'];
const someHeaders: Check = [
  (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === 'string'),
  'an object of texts',
];

/** Options of `postJson`. */
export interface PostJsonOptions extends Omit<RequestOptions, 'url'> {
  /** The sink's signal. */
  readonly signal?: AbortSignal;
  /** The sink's deadline. */
  readonly deadlineAt?: number;
  /** Names the service in errors. Default: `the service`. */
  readonly service?: string;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** After how many milliseconds the request counts as failed. Default: as long as the deadline allows, or 30,000. */
  readonly timeoutMs?: number;
  /** Whether an answer with a 2xx is a refusal. Default: `ok: false` or `success: false`. */
  isRefusal?(answer: Answer, text: string, status: number): boolean;
}

/**
 * Posts JSON. Resolves when the service has taken it, and rejects with a `SinkError` otherwise, by the same rules as
 * `chatSink`.
 */
export async function postJson(url: string, body: unknown, options: PostJsonOptions = {}): Promise<void> {
  checkOptions(
    options,
    {
      ...httpSinkChecks,
      signal: aSignal,
      deadlineAt: aTime,
      service: aString,
      isRefusal: aFunction,
      method: postOrPut,
      headers: someHeaders,
    },
    'postJson',
  );
  const { signal = new AbortController().signal, deadlineAt, service = 'the service', isRefusal, ...rest } = options;
  const { fetch, timeoutMs, method, headers } = rest;
  const post = poster(service, url, { fetch, timeoutMs }, { isRefusal: isRefusal ?? saysNo });
  await post(JSON.stringify(body), { signal, deadlineAt }, { method, headers });
}
