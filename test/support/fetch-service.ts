/** A service that is a function from `Request` to `Response`, for any server of such functions. */
import { once } from 'node:events';
import { type FetchHandler, vastWebhook } from '../../src/fetch.js';
import type { Closable, Secret } from '../../src/index.js';
import type { WebhookOptions } from '../../src/options.js';
import { type Provider, webhook } from '../../src/provider/fetch.js';
import { shodaiWebhook } from '../../src/shodai/fetch.js';
import { v0Webhook } from '../../src/v0/fetch.js';
import { secret } from './requests.js';
import type { Handler, Parser, Setup } from './service.js';
import { beacon, comet, pulsar, rocket, type SpaceEvent } from './space-providers.js';

/** Servers pass further arguments. */
export type Fetch = (request: Request, ...context: unknown[]) => Promise<Response>;

const webhookOf = (provider: Provider<SpaceEvent>) => (secrets: Secret, options: never, handler: unknown) =>
  webhook(provider, secrets, options, handler as never);

const makers = {
  vast: vastWebhook,
  shodai: shodaiWebhook,
  v0: v0Webhook,
  comet: webhookOf(comet),
  rocket: webhookOf(rocket),
  beacon: webhookOf(beacon),
  pulsar: webhookOf(pulsar),
} as const;

/** The readers of the body, in front of the middleware or in the handler. */
export const fetchParsers: Record<string, Parser<(request: Request) => Promise<unknown>>> = {
  'request.json()': { make: () => (request) => request.json(), leaves: 'nothing', insists: true },
  'request.arrayBuffer()': { make: () => (request) => request.arrayBuffer(), leaves: 'nothing', insists: true },
};

/** Whether the options make the middleware call a handler. A missing or superfluous handler is an error. */
export function isHandedOn({ handoff, sinks }: WebhookOptions): boolean {
  return handoff ?? !sinks?.length;
}

export function fetchService(setup: Setup, handler: Handler): { answer: Fetch; hook: Closable } {
  const { provider = 'vast', secret: secrets = secret, options = {}, parserBefore, parserBehind } = setup;
  const handle: FetchHandler = async (vast, request) => {
    const closed = () => once(request.signal, 'abort');
    if (parserBehind) await fetchParsers[parserBehind]?.make()(request);
    const status = await handler({ vast, received: vast, body: vast.event, closed, write: () => {} });
    return new Response(null, { status });
  };
  const hook = makers[provider](secrets, options as never, isHandedOn(options) ? (handle as never) : undefined);
  const parse = parserBefore ? fetchParsers[parserBefore]?.make() : undefined;
  return {
    async answer(request, ...context) {
      if (new URL(request.url).pathname === '/elsewhere') return Response.json({ got: await readJson(request) });
      if (request.headers.get('content-type') === 'application/json') await parse?.(request);
      return (hook as Fetch)(request, ...context);
    },
    hook,
  };
}

async function readJson(request: Request): Promise<unknown> {
  const text = await request.text();
  return text === '' ? {} : JSON.parse(text);
}
