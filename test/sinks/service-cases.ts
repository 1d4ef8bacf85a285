import { once } from 'node:events';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Delivery, type Sink, type VastType, vastTypes } from '../../src/index.js';
import type { ChatOptions, HttpSinkOptions } from '../../src/sinks/index.js';
import { type SinkRequest, sampleEvent, sinkConformance } from '../../src/testing/index.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { inFakeTime } from '../support/in-fake-time.js';
import type { ServiceServer } from '../support/stand-in-server.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { clusters, isWellFormed, nasty, nastyMarkdown } from './nasty.js';

type ServiceSinkOptions = HttpSinkOptions & Pick<ChatOptions<object, never>, 'consoleUrl'> & { format?: () => string };

/** A sink of a service, and its stand-in. */
export interface Service {
  readonly name: string;
  readonly service: string;
  readonly standIn: () => Promise<ServiceServer<unknown>>;
  /** Its answer when it has taken a message. */
  readonly success?: unknown;
  readonly sink: (chat: Pick<ChatStandIn<unknown>, 'url' | 'token'>, options?: ServiceSinkOptions) => Sink<object>;
  /** Its answer with a 429, and how long that says to wait. */
  readonly limited: readonly [answer: unknown, retryAfterMs: number | undefined];
  /** Refusals with a 200. */
  readonly refusals?: readonly unknown[];
  /** Other forms of the secret. */
  readonly secrets?: readonly string[];
  /** Statuses that mean something else at this service: permanent or not. */
  readonly odd?: Readonly<Record<number, boolean>>;
}

/** What holds for every sink of a service. */
export function describeService({
  name,
  service,
  standIn,
  sink,
  limited,
  refusals = [],
  odd = {},
  success = {},
  secrets = [],
}: Service): void {
  describe(name, () => {
    let chat: ServiceServer<unknown>;
    beforeAll(async () => {
      chat = await standIn();
    });
    afterAll(() => chat.close());
    afterEach(() => {
      chat.misbehave = undefined;
    });

    const conformance = sinkConformance((options) => sink(chat, options), {
      success: { status: 200, body: typeof success === 'string' ? success : JSON.stringify(success) },
      judge({ method, url, headers, body }: SinkRequest) {
        const { pathname, search } = new URL(url);
        return chat.judge({ method, url: pathname + search, headers: Object.fromEntries(headers), body });
      },
    });
    it.each(conformance)('$name', ({ run }) => inFakeTime(run));

    const answering = (status: number, body = '', headers: Record<string, string> = {}) => {
      chat.misbehave = (res) => res.writeHead(status, headers).end(body);
    };
    const lastRequest = () => {
      const { method, url, body } = chat.requests.at(-1) ?? { body: '' };
      return { method, url, body };
    };

    async function messageFor(event: object, options?: ServiceSinkOptions): Promise<string> {
      const before = chat.messages.length;
      await deliverTo(sink(chat, { timeoutMs: 60_000, ...options }), event);
      expect(chat.messages).toHaveLength(before + 1);
      return JSON.stringify(chat.messages[before]);
    }

    async function failure(options?: ServiceSinkOptions, signal?: AbortSignal) {
      const error = await failureOf(deliverTo(sink(chat, options), undefined, signal));
      expect(error.name).toBe('SinkError');
      const shown = [error.stack, JSON.stringify(error), inspect(error, { depth: null, showHidden: true })].join();
      for (const secret of [chat.token, ...secrets]) {
        expect(shown).not.toContain(secret);
      }
      return error;
    }

    it.each(Object.keys(vastTypes) as VastType[])('delivers %s with subject, link, type and event id', async (type) => {
      const event = sampleEvent(type);
      const message = await messageFor(event);
      for (const part of [`https://cloud.vast.ai${vastTypes[type].link}`, event.event_id])
        expect(message).toContain(part);
      expect(message.replaceAll('\u200B', '')).toContain(`type=${type}`);
      expect(message.replaceAll('\u200B', '')).toContain(vastTypes[type].severity);
    });

    it('delivers an event of another sender', async () => {
      const before = chat.messages.length;
      const event = { type: 'agreement.transitioned', data: { agreementName: 'Lease of flat 7', toState: 'draft' } };
      const delivery = { provider: 'shodai', id: 'evt_shodai', timestamp: Date.now() / 1000 } as Delivery;
      await sink(chat).deliver(event, { delivery, signal: new AbortController().signal });
      const message = JSON.stringify(chat.messages[before]);
      for (const part of ['Lease of flat 7', 'https://docs.shodai.network/', 'evt_shodai'])
        expect(message).toContain(part);
    });

    it('says when it happened as soon as that is a minute ago', async () => {
      const at = Date.parse('2026-11-26T22:13:44Z') / 1000;
      expect(await messageFor(eventWith({ timestamp: at, event_id: 'evt_old' }))).toContain('2026-11-26 22:13 UTC');
      expect(await messageFor(eventWith({ timestamp: Date.now() / 1000, event_id: 'evt_new' }))).not.toContain('UTC');
    });

    it.each([...nasty, ...nastyMarkdown, '\0', '\u2028', '@\u200Broom'])('takes %j', async (text) => {
      await messageFor(eventWith({ subject: text, message: text, notif_type: text, event_id: `nasty ${text}` }));
    });

    it('takes huge texts of any kind, cut between characters', async () => {
      const units = ['x', '*', '`', '&', '\n', '\t', '@', '"', '\u0001', 'é', '…', '🚀', ...Object.values(clusters)];
      for (const [n, unit] of units.entries()) {
        const huge = unit.repeat(70_000 / unit.length);
        const message = await messageFor({ subject: huge, message: huge, notif_type: huge, event_id: `huge ${n}` });
        expect(isWellFormed(message)).toBe(true);
      }
    });

    it('takes any mixture', async () => {
      const texts = fc
        .array(fc.constantFrom(...nasty, ...nastyMarkdown, ' ', '\n', '`', '@', '\u0007', '🚀', 'x'.repeat(500)), {
          maxLength: 60,
        })
        .map((parts) => parts.join(''));
      let n = 0;
      await fc.assert(
        fc.asyncProperty(texts, texts, async (subject, message) => {
          await messageFor(eventWith({ subject, message, event_id: `mixture ${n++}` }));
        }),
        { numRuns: 40 },
      );
    });

    it('takes a text of format, at any length, and links to another console', async () => {
      for (const length of [1, 60_000]) {
        await messageFor(eventWith({ event_id: `format ${length}` }), { format: () => 'x'.repeat(length) });
      }
      const event = eventWith({ event_id: 'console' });
      expect(await messageFor(event, { consoleUrl: 'https://gpu.example/' })).toContain(
        'https://gpu.example/instances/',
      );
    });

    it('repeats an event with the same request, and another sink with a request of its own address', async () => {
      const event = eventWith({ event_id: 'evt_repeated' });
      await deliverTo(sink(chat), event);
      const first = lastRequest();
      await deliverTo(sink(chat), event);
      expect(lastRequest()).toEqual(first);
    });

    it.each<[number, boolean]>([
      [408, false],
      [429, false],
      [500, false],
      [503, false],
      [400, true],
      [401, true],
      [403, true],
      [404, true],
      [413, true],
      [302, true],
      ...Object.entries(odd).map(([status, permanent]) => [Number(status), permanent] as [number, boolean]),
    ])('fails on %i (permanent: %s)', async (status, permanent) => {
      answering(status);
      expect(await failure()).toMatchObject({ status, permanent, retryAfterMs: undefined });
      if (status === 204) return;
      answering(status, chat.token, { Location: chat.url });
      expect((await failure()).message).toBe(`${service} answered ${status}`);
    });

    it('waits as long as the service says, in the header or in the body', async () => {
      const [body, retryAfterMs] = limited;
      answering(429, JSON.stringify(body));
      expect(await failure()).toMatchObject({ status: 429, permanent: false, retryAfterMs });
      answering(429, JSON.stringify(body), { 'Retry-After': '90' });
      expect(await failure()).toMatchObject({ retryAfterMs: 90_000 });
    });

    it.each(refusals)('fails on a refusal in a 200: %j', async (body) => {
      answering(200, JSON.stringify(body));
      expect(await failure()).toMatchObject({ status: 200, permanent: true });
    });

    it.each(['', 'ok', '<html>', '{"ok'])('delivers when the body of a 200 is %j', async (body) => {
      answering(200, body);
      await expect(deliverTo(sink(chat))).resolves.toBeUndefined();
    });

    it('fails for a retry when there is no answer in time, or when the signal is aborted', async () => {
      let closed: Promise<unknown> | undefined;
      chat.misbehave = (res) => {
        closed = once(res, 'close');
      };
      expect(await failure({ timeoutMs: 50 })).toMatchObject({
        message: `${service} could not be reached: no answer within 50 ms`,
        permanent: false,
      });
      await closed;
      const before = chat.requests.length;
      expect(await failure({}, AbortSignal.abort())).toMatchObject({ permanent: false });
      expect(chat.requests).toHaveLength(before);
    });

    it('delivers by the given fetch', async () => {
      const before = chat.requests.length;
      const fetch = async () => new Response('{}');
      await deliverTo(sink(chat, { fetch }));
      expect(chat.requests).toHaveLength(before);
    });

    it('has a name, which can be replaced', () => {
      expect(sink(chat).name).toBe(name);
      expect(sink(chat, { name: 'night shift' }).name).toBe('night shift');
    });

    it.each<Record<string, unknown>>([
      { timeoutMs: 0 },
      { fetch: 'fetch' },
      { name: '' },
      { format: 'text' },
      { consoleUrl: 'here' },
      { tiemoutMs: 1 },
    ])('refuses the option %j', (options) => {
      expect(() => sink(chat, options)).toThrow(TypeError);
      expect(() => sink(chat, options)).toThrow(Object.keys(options)[0] as string);
    });

    it.each([
      undefined,
      null,
      '',
      7,
      'secretToken',
      'ftp://chat.example/hooks/secretToken',
      'https://user:secretToken@chat.example/hooks/x',
      'https://chat.example/hooks/notify/secretToken/more?token=secretToken',
      'https://discord.com/api/webhooks/1234/secretToken?wait=true',
      'https://chat.example/_matrix/client/v3/message/api/v1?x',
    ])('refuses the address %j, and does not repeat it', (url) => {
      const make = () => sink({ url: url as string, token: chat.token });
      if (name === 'mattermost' && url?.toString().startsWith('https://chat.example/hooks/')) return;
      expect(make).toThrow(TypeError);
      try {
        make();
      } catch (error) {
        expect(inspect(error, { showHidden: true })).not.toContain('secretToken');
      }
    });

    it.each([
      ['https://discord.com/api/webhooks/1234/secretToken?wait=true', 'use discord for it'],
      ['https://hooks.slack.com/services/T0/B0/secretToken', 'use slack for it'],
      ['https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=secretToken', 'use googleChat for it'],
    ])('names the sink that takes %s', (url, advice) => {
      expect(() => sink({ url, token: chat.token })).toThrow(advice);
    });
  });
}
