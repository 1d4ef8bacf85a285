import { Buffer } from 'node:buffer';
import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import type { Delivery } from '../contracts/delivery.js';
import type { Sink } from '../contracts/sink.js';
import { type VastType, vastTypes } from '../providers/vast.js';
import { sampleEvent } from './sample-event.js';
import type { ConformanceCase } from './store-conformance.js';

/** A request of the sink. */
export interface SinkRequest {
  /** `POST` or `PUT`. */
  readonly method: string;
  /** The address, with its query. */
  readonly url: string;
  /** The headers that the sink has set. */
  readonly headers: Headers;
  /** The body as text. */
  readonly body: string;
}

/** How the service behaves. */
export interface SinkStandIn {
  /** Its answer when it has taken a message. */
  readonly success: {
    /** Its status, such as 200. */
    readonly status: number;
    /** Its body as text. */
    readonly body?: string;
  };
  /** Why the service would refuse a request, such as a text over its limit. Undefined if it would take it. */
  judge?(request: SinkRequest): string | undefined;
  /** Secrets in the body, which no error may have. Those in the URL and in headers are found without this. */
  readonly secrets?: readonly string[];
}

/** Options that the sink must take. */
export interface ConformingSinkOptions {
  /** Answers in place of the service. */
  readonly fetch: typeof fetch;
  /** After how many milliseconds a request counts as failed. */
  readonly timeoutMs: number;
  /** The sink's name. Given only by the case that needs two. */
  readonly name?: string;
}

/**
 * The rules of a sink that delivers over HTTP, as cases for any test runner. No case opens a connection: the sink gets
 * a `fetch` that answers as services do on good and bad days. `standIn` has the service's own contract.
 *
 * @example
 * import { sinkConformance } from 'vast-webhook/testing';
 * import { describe, test } from 'vitest'; // or 'node:test'
 *
 * const standIn = { success: { status: 200, body: 'ok' } };
 * describe('my sink', () => {
 *   for (const { name, run } of sinkConformance((options) => mySink(url, options), standIn)) test(name, run);
 * });
 */
export function sinkConformance(
  makeSink: (options: ConformingSinkOptions) => Sink<never>,
  standIn: SinkStandIn,
): ConformanceCase[] {
  return Object.entries(rules).map(([name, rule]) => ({
    name,
    run: () => rule(new Service(makeSink, standIn)),
  }));
}

type Respond = (init: RequestInit) => Response | Promise<Response>;

/** Longer than any conforming sink needs, whatever else the machine does. */
const patienceMs = 30_000;

/** One sink, whose `fetch` answers as the case wants. */
class Service {
  readonly requests: SinkRequest[] = [];
  #respond: Respond = () => this.success();
  readonly #makeSink: (options: ConformingSinkOptions) => Sink<never>;
  readonly #standIn: SinkStandIn;

  constructor(makeSink: (options: ConformingSinkOptions) => Sink<never>, standIn: SinkStandIn) {
    this.#makeSink = makeSink;
    this.#standIn = standIn;
  }

  sink(options: { timeoutMs?: number; name?: string } = {}): Sink<never> {
    return this.#makeSink({ timeoutMs: patienceMs, ...options, fetch: this.#fetch as typeof fetch });
  }

  /** From now on. */
  answers(respond: Respond): void {
    this.#respond = respond;
  }

  readonly #fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const signal = init.signal ?? (input instanceof Request ? input.signal : undefined);
    signal?.throwIfAborted();
    const request = new Request(input, { ...init, signal: null });
    const { method, url, headers, redirect } = request;
    this.requests.push({ method, url, headers, body: await request.text() });
    const response = await untilAborted(this.#respond(init), signal);
    const isRedirect = response.status >= 300 && response.status < 400;
    // Elsewhere, the request becomes a GET that nobody takes as a message.
    if (isRedirect && redirect === 'follow') return this.success();
    return response;
  };

  success(): Response {
    const { status, body } = this.#standIn.success;
    return answer(status, body);
  }

  /** Success with a body that cannot be read, as another `fetch` may give it. */
  unreadable(body: unknown): Response {
    const read = () => Promise.reject(new Error('the body cannot be read'));
    const { status } = this.#standIn.success;
    return {
      ok: true,
      status,
      headers: new Headers(),
      body,
      text: read,
      json: read,
      arrayBuffer: read,
    } as unknown as Response;
  }

  async deliver(event: object = sampleEvent('outbid'), provider = 'vast', sink = this.sink(), signal = unaborted()) {
    await inTime(
      Promise.resolve(sink.deliver(event as never, { delivery: deliveryOf(event, provider), signal })),
      'it neither delivers nor fails',
    );
  }

  /** The last request, which the service would take. */
  accepted(what: string): void {
    const request = this.requests.at(-1);
    if (request === undefined) fails(`it sends nothing for ${what}`);
    const reason = this.#standIn.judge?.(request);
    if (reason !== undefined) fails(`the service would refuse its request for ${what}: ${reason}`);
  }

  /** The error of a delivery. It must have no secret. */
  async failure(what: string, sink?: Sink<never>, signal?: AbortSignal): Promise<Failure> {
    const error = await this.deliver(undefined, undefined, sink, signal).then(
      () => fails(`it counts as delivered after ${what}`),
      (thrown: unknown) => thrown,
    );
    if (error instanceof Violation) throw error;
    if (!(error instanceof Error)) fails(`it fails with something other than an Error after ${what}`);
    const shown = inspect(error, { depth: null, showHidden: true }) + String(error.stack);
    if (this.secrets().some((secret) => shown.includes(secret))) fails(`its error has a secret after ${what}`);
    return error as Failure;
  }

  /** Long or odd parts of the URLs, and headers that look like credentials. */
  secrets(): string[] {
    const ofRequest = ({ url, headers }: SinkRequest) => {
      const { pathname, search, searchParams } = new URL(url);
      const parts = [...pathname.split('/'), ...searchParams.values()];
      const credentials = [...headers]
        .filter(([name]) => /auth|token|key|secret/i.test(name))
        .map(([, value]) => value);
      return [
        ...parts.filter((part) => part.length >= 8 && /\d/.test(part)),
        ...[pathname, search].filter((part) => part.length >= 16),
        ...credentials.flatMap((value) => [value, value.split(' ').at(-1) as string]),
      ];
    };
    return [...this.requests.flatMap(ofRequest), ...(this.#standIn.secrets ?? [])].filter(({ length }) => length >= 4);
  }
}

type Failure = Error & { readonly status?: unknown; readonly permanent?: unknown; readonly retryAfterMs?: unknown };

class Violation extends Error {}

function fails(message: string): never {
  throw new Violation(message);
}

function expectFailure(
  { status, permanent }: Failure,
  what: string,
  expected: { status?: number; permanent: boolean },
) {
  if ('status' in expected && status !== expected.status) fails(`its error has the status ${status} after ${what}`);
  if ((permanent ?? false) !== expected.permanent) {
    fails(`its error is ${expected.permanent ? 'not permanent' : 'permanent'} after ${what}`);
  }
}

/** Rejects when the signal is aborted, as `fetch` does. */
async function untilAborted(
  answered: Response | Promise<Response>,
  signal: AbortSignal | undefined,
): Promise<Response> {
  if (signal === undefined) return answered;
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    Promise.resolve(answered).then(resolve, reject);
  });
}

function unaborted(): AbortSignal {
  return new AbortController().signal;
}

function never(): Promise<Response> {
  return new Promise(() => {});
}

async function inTime<T>(promise: Promise<T>, problem: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Violation(problem)), patienceMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function answer(
  status: number,
  body: string | ReadableStream | null = '',
  headers: Record<string, string> = {},
): Response {
  return new Response(status === 204 ? null : body, { status, headers });
}

/** A body that begins and never ends. */
function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"o'));
    },
  });
}

/** A body as from node-fetch and cross-fetch: a Node.js stream, without `cancel()`. */
function nodeStreamOf(text: string): object {
  return {
    on() {},
    [Symbol.asyncIterator]: async function* () {
      yield new TextEncoder().encode(text);
    },
  };
}

function deliveryOf(event: object, provider: string): Delivery {
  const { event_id: id } = event as { event_id?: unknown };
  const now = Date.now();
  return {
    provider,
    source: 'webhook',
    verified: true,
    id: typeof id === 'string' && id !== '' ? id : `sha256:${'0'.repeat(64)}`,
    attempt: 1,
    timestamp: Math.floor(now / 1000),
    receivedAt: now,
    rawBody: Buffer.from(JSON.stringify(event)),
  };
}

const types = Object.keys(vastTypes) as VastType[];

const texts: Readonly<Record<string, string>> = {
  'an empty text': '',
  'white space': ' \r\n\t ',
  'invisible characters': '\u200B\u00AD\u2060\uFEFF\u3164\u2800\u{E0041}\uFE0F',
  'control characters': 'a\u0000b\u0007c\u001B[31md\u007Fe\u009Bf\u2028g',
  'half a surrogate pair': 'a\uD83D \uDE80b',
  'mentions and markup': '<!channel> @everyone <users/all> *b* [x](http://evil.example) <b>x</b> {{x}} /stop @name `c`',
  'marks of direction': '\u202Eabc\u2066',
  lines: `${'line\n'.repeat(2_000)}`,
  'a huge text': 'x'.repeat(100_000),
  'a huge text of emoji': '👨‍👩‍👧‍👦'.repeat(5_000),
  'a huge text of quotes': '"'.repeat(50_000),
  'a huge text of control characters': '\u0001'.repeat(50_000),
  'a huge text of tags': '<&>'.repeat(20_000),
  'a letter with thousands of accents': `e${'\u0301'.repeat(20_000)}`,
};

const oddEvents: Readonly<Record<string, readonly [event: object, provider?: string]>> = {
  'an empty object': [{}],
  'numbers for texts': [{ ...sampleEvent('outbid'), subject: 7, message: 8, notif_type: 9, timestamp: 'soon' }],
  'objects for texts': [
    { ...sampleEvent('outbid'), subject: { a: 1 }, message: ['x'], notif_type: {}, timestamp: null },
  ],
  'an event of an unknown type': [{ ...sampleEvent('outbid'), notif_type: 'something_new' }],
  'an event of last year': [{ ...sampleEvent('outbid'), timestamp: Date.now() / 1000 - 31_536_000 }],
  'a time that is none': [{ ...sampleEvent('outbid'), timestamp: -1 }],
  'a time beyond all dates': [{ ...sampleEvent('outbid'), timestamp: 1e300 }],
  'an event of Shodai': [
    { id: 'e1', type: 'agreement.transitioned', apiVersion: '1', data: { toState: 'x' } },
    'shodai',
  ],
  'an odd event of Shodai': [{ data: null }, 'shodai'],
  'an event of v0': [{ type: 'x' }, 'v0'],
  'a digest': [
    {
      ...sampleEvent('outbid'),
      event_id: `digest:${'0'.repeat(64)}`,
      notif_type: 'digest',
      subject: '2 notifications: 2 × outbid',
      severity: 'error',
      url: 'https://cloud.vast.ai/instances/',
      count: 2,
      types: [],
      event_ids: [],
    },
    'vast-webhook',
  ],
};

type Rule = (service: Service) => Promise<void>;

const rules: Readonly<Record<string, Rule>> = {
  'delivers an event of each type with one request that the service takes': async (service) => {
    for (const [index, type] of types.entries()) {
      await service.deliver(sampleEvent(type));
      if (service.requests.length !== index + 1) fails(`it sends several requests for ${type}`);
      service.accepted(type);
    }
  },
  'delivers texts of any kind': async (service) => {
    for (const [what, text] of Object.entries(texts)) {
      await service.deliver({ ...sampleEvent('outbid'), subject: text, message: text, notif_type: text });
      service.accepted(what);
    }
  },
  'delivers odd events, and those of other senders': async (service) => {
    for (const [what, [event, provider]] of Object.entries(oddEvents)) {
      await service.deliver(event, provider);
      service.accepted(what);
    }
  },
  'has delivered once the service has taken it, whatever becomes of the answer': async (service) => {
    const broken = (what: string) => new ReadableStream({ pull: () => Promise.reject(new Error(what)) });
    const bodies: Readonly<Record<string, () => Response>> = {
      'a body that breaks off': () => service.unreadable(broken('broken off')),
      'a body that never ends': () => service.unreadable(endless()),
      'a body that is locked': () => {
        const body = endless();
        body.getReader();
        return service.unreadable(body);
      },
      'a body that cannot be cancelled': () => service.unreadable({}),
      'a body whose cancel throws': () =>
        service.unreadable({ cancel: () => fails('cancel of the body threw, and that became the result') }),
      'a body of a Node.js stream': () => service.unreadable(nodeStreamOf('ok')),
      'no body': () => service.unreadable(null),
      'a body that is undefined': () => service.unreadable(undefined),
      'broken JSON': () => service.unreadable(new Response('{"o').body),
      'a page': () => service.unreadable(new Response(`<html>${'x'.repeat(100_000)}`).body),
    };
    for (const [what, respond] of Object.entries(bodies)) {
      service.answers(respond);
      await service.deliver().catch((error: unknown) => {
        if (error instanceof Violation) throw error;
        fails(`it fails after a 2xx with ${what}: ${error}`);
      });
    }
  },
  'fails, to be tried again, on 408, 429 and 5xx': async (service) => {
    for (const status of [408, 429, 500, 502, 503, 504]) {
      service.answers(() => answer(status));
      expectFailure(await service.failure(`${status}`), `${status}`, { status, permanent: false });
    }
  },
  'fails for good on other 4xx': async (service) => {
    for (const status of [400, 401, 403, 404, 410, 413, 422]) {
      service.answers(() => answer(status));
      expectFailure(await service.failure(`${status}`), `${status}`, { status, permanent: true });
    }
  },
  'passes Retry-After on, in seconds and as a date': async (service) => {
    for (const [status, value] of [
      [429, '60'],
      [503, '60'],
      [429, new Date(Date.now() + 60_000).toUTCString()],
    ] as const) {
      service.answers(() => answer(status, '', { 'Retry-After': value }));
      const { retryAfterMs: ms } = await service.failure(`Retry-After: ${value}`);
      // A date has whole seconds, and the answer needs time.
      if (typeof ms !== 'number' || ms > 61_000 || ms < 60_000 - patienceMs)
        fails(`retryAfterMs is ${ms} for ${value}`);
    }
  },
  'follows no redirect': async (service) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const before = service.requests.length;
      service.answers(() => answer(status, '', { Location: 'https://other.example/' }));
      await service.failure(`${status}`);
      if (service.requests.length !== before + 1) fails(`it follows ${status}`);
    }
  },
  'fails, to be tried again, when there is no answer in time': async (service) => {
    service.answers(never);
    const what = 'a time limit of 50 ms';
    expectFailure(await service.failure(what, service.sink({ timeoutMs: 50 })), what, { permanent: false });
  },
  'fails with the status when the body of a refusal never ends': async (service) => {
    service.answers(() => answer(404, endless()));
    const what = 'a 404 without an end';
    expectFailure(await service.failure(what, service.sink({ timeoutMs: 500 })), what, {
      status: 404,
      permanent: true,
    });
  },
  'fails, to be tried again, when its signal is aborted: before, nothing is sent': async (service) => {
    const abort = new AbortController();
    service.answers(() => {
      abort.abort();
      return never();
    });
    const during = 'an abort during the request';
    expectFailure(await service.failure(during, undefined, abort.signal), during, { permanent: false });
    const before = service.requests.length;
    service.answers(never);
    const what = 'an abort before the request';
    expectFailure(await service.failure(what, undefined, AbortSignal.abort()), what, { permanent: false });
    if (service.requests.length !== before) fails('it sends a request although its signal is aborted');
  },
  'fails, to be tried again, when the service cannot be reached, and has no secret in its error': async (service) => {
    await service.deliver();
    const said = service.secrets().join(' ');
    const url = service.requests[0]?.url;
    const cause = Object.assign(new Error(`connect ${url} ${said}`), { code: 'ECONNREFUSED' });
    const errors = {
      'an error of fetch': new TypeError(`fetch failed: ${url} ${said}`, { cause }),
      'a thrown text': `${url} ${said}`,
    };
    for (const [what, error] of Object.entries(errors)) {
      service.answers(() => Promise.reject(error));
      expectFailure(await service.failure(what), what, { permanent: false });
    }
  },
  'has no secret in its error when the answer repeats them': async (service) => {
    await service.deliver();
    const url = service.requests[0]?.url;
    for (const text of [...service.secrets(), url ?? '']) {
      for (const body of [
        text,
        JSON.stringify({ error: text }),
        JSON.stringify({ error: { status: text }, description: text }),
      ]) {
        service.answers(() => answer(404, body));
        await service.failure('an answer that repeats a secret');
      }
    }
  },
  'delivers many events at once, each with its request': async (service) => {
    const sink = service.sink();
    const events = Array.from({ length: 50 }, () => sampleEvent('outbid'));
    await Promise.all(events.map((event) => service.deliver(event, undefined, sink)));
    if (service.requests.length !== events.length) fails(`50 events became ${service.requests.length} requests`);
  },
  'leaves no listener on the signal': async (service) => {
    const { signal } = new AbortController();
    await service.deliver(undefined, undefined, undefined, signal);
    service.answers(() => answer(404));
    await service.failure('404', undefined, signal);
    if (getEventListeners(signal, 'abort').length > 0) fails('it leaves a listener on the signal');
  },
  'leaves no rejection unhandled': async (service) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    try {
      service.answers(() => Promise.reject(new Error('gone')));
      await service.failure('an error of fetch');
      // It rejects after the sink has given up.
      service.answers(
        ({ signal }) =>
          new Promise((_, reject) =>
            signal?.addEventListener('abort', () => setTimeout(() => reject(new Error('late')), 1)),
          ),
      );
      await service.failure('a time limit', service.sink({ timeoutMs: 20 }));
      service.answers(() => service.unreadable(new ReadableStream({ cancel: () => Promise.reject(new Error('no')) })));
      await service.deliver();
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      process.off('unhandledRejection', note);
    }
    if (unhandled.length > 0) fails(`it leaves a rejection unhandled: ${inspect(unhandled[0])}`);
  },
  'has a name that stays, and takes another': async (service) => {
    const { name } = service.sink();
    if (typeof name !== 'string' || name === '' || name.length > 255)
      fails('its name is no string of 1 to 255 characters');
    if (service.sink().name !== name) fails('its name changes');
    if (service.sink({ name: 'night shift' }).name !== 'night shift') fails('it does not take the option name');
  },
};
