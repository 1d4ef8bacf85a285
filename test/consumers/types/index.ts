import { tracingChannel } from 'node:diagnostics_channel';
import { createServer } from 'node:http';
import {
  type ClaimResult,
  type Closable,
  type Code,
  createForwarder,
  type Delivery,
  type DeliveryMessage,
  type ErrorContext,
  type Forward,
  type ForwarderOptions,
  type IdempotencyStore,
  keepRawBody,
  memoryStore,
  type Outcome,
  type QueuedDelivery,
  type Secret,
  type Severity,
  type SignatureReason,
  type Sink,
  type SinkContext,
  SinkError,
  type SinkFunction,
  type SinkMessage,
  type SinkResult,
  sign,
  type UnknownVastEvent,
  type VastEvent,
  type VastEventOf,
  type VastType,
  type VastTypeInfo,
  type VastWebhook,
  type Verified,
  vastTypes,
  vastWebhook,
  verifyDelivery,
  WebhookError,
  type WebhookOptions,
  when,
} from 'vast-webhook';
import {
  ApiError,
  type ApiOptions,
  type CallOptions,
  type ShodaiApi,
  type ShodaiApiWebhookWithSecret,
  shodaiApi,
  type V0Api,
  type V0ApiWebhook,
  type VastApi,
  type VastApiType,
  type VastApiWebhook,
  v0Api,
  vastApi,
} from 'vast-webhook/api';
import { type CatchUpState, catchUp, catchUpState, type Gap } from 'vast-webhook/catch-up';
import { type FetchHandler, vastWebhook as fetchVastWebhook } from 'vast-webhook/fetch';
import { type KoaContext, vastWebhook as koaVastWebhook, type VastState } from 'vast-webhook/koa';
import { type MetricRegistry, type OutcomeMetricsOptions, outcomeMetrics } from 'vast-webhook/metrics';
import { type ShodaiEvent, type ShodaiWebhook, shodaiWebhook } from 'vast-webhook/shodai';
import { shodaiWebhook as fetchShodaiWebhook } from 'vast-webhook/shodai/fetch';
import {
  cloudEvents,
  type DigestEvent,
  type DigestOptions,
  digest,
  discord,
  googleChat,
  http,
  log as logSink,
  pagerDuty,
  quiet,
  slack,
  slackWorkflow,
  teams,
} from 'vast-webhook/sinks';
import { memoryStore as sameMemoryStore } from 'vast-webhook/stores';
import { sampleEvent, signedDelivery } from 'vast-webhook/testing';
import { v0Webhook as fetchV0Webhook } from 'vast-webhook/v0/fetch';

const secret = 'a secret of the consumer';

// Every form of secret.
vastWebhook(secret);
vastWebhook([secret, 'an older one']);
vastWebhook({ renter: secret, host: 'another' });
vastWebhook(() => secret);
vastWebhook(async () => ({ renter: secret }));

// Every option, and the context's types inferred where functions are written in place.
const hook: VastWebhook = vastWebhook(secret, {
  path: '/hooks/vast',
  store: memoryStore({ maxCompleted: 1000 }),
  sinks: [
    slack('https://hooks.slack.com/services/T/B/x', { name: 'slack:ops' }),
    when(['instance_*', 'outbid'], googleChat('https://chat.googleapis.com/v1/spaces/x/messages')),
    when(({ user_id }: VastEvent) => user_id === 123, slack('https://hooks.slack.com/services/T/B/y')),
    slackWorkflow('https://hooks.slack.com/triggers/T/1/x', { format: (_event, { subject }) => ({ title: subject }) }),
    discord('https://discord.com/api/webhooks/1/x', { format: (_event, { message }) => ({ content: message }) }),
    teams('https://x.logic.azure.com/workflows/1', { format: (event) => event.subject }),
    when(['instance_*', 'outbid'], pagerDuty('key', { url: 'https://events.eu.pagerduty.com/v2/enqueue' })),
    http('https://a.example/hook', { secret: 'whsec_' }),
    http('https://b.example/hook', { name: 'b', secrets: ['whsec_', 'whsec_'], timeoutMs: 3000 }),
    cloudEvents('https://broker.example'),
    logSink({ write: (line) => line.length }),
    when(['client:low_credit', 'host:*'], digest({ everyMs: 60_000 }, slack('https://hooks.slack.com/services/T/B/z'))),
    quiet(
      { perMinute: 5, onError: (error) => error.message },
      when((_event, { webhook }) => webhook === 'host', teams('https://x.example')),
    ),
    digest({ everyMs: 1000 }, async function digested(event, { delivery, signal }) {
      event satisfies VastEvent;
      if (event.notif_type === 'digest') (event as unknown as DigestEvent).count satisfies number;
      delivery satisfies Delivery;
      signal satisfies AbortSignal;
    }),
    async function audit(event, { delivery, signal, deadlineAt }) {
      event satisfies VastEvent;
      delivery satisfies Delivery;
      signal satisfies AbortSignal;
      deadlineAt satisfies number | undefined;
      if (event.notif_type === 'webhook_test') throw new SinkError('not wanted', { status: 422, permanent: true });
    },
    {
      name: 'object',
      accepts: (event, { webhook }) => event.notif_type !== 'idle_gpu' && webhook !== 'host',
      deliver: async (event) => void event.message,
    },
  ],
  handoff: true,
  toleranceSeconds: 300,
  limit: '64kb',
  bodyTimeoutMs: 5000,
  deadlineMs: 8000,
  leaseMs: 30_000,
  storeTimeoutMs: 2000,
  completedTtlMs: 604_800_000,
  onOutcome(outcome) {
    outcome satisfies Outcome;
    outcome.code satisfies Code | undefined;
    outcome.reason satisfies SignatureReason | undefined;
    outcome.sinks?.audit satisfies SinkResult | undefined;
  },
  onError(error, context) {
    error satisfies Error;
    context satisfies ErrorContext;
  },
  now: Date.now,
});
createServer((req, res) => hook(req, res, () => res.writeHead(404).end()));
hook satisfies Closable;
hook.close(1000) satisfies Promise<void>;

// The union of events is open, and narrows all the same.
const { event, delivery } = verifyDelivery({ ...signedDelivery(sampleEvent('outbid'), secret), secret });
verifyDelivery({ headers: new Headers(), body: new Uint8Array(), secret, toleranceSeconds: 60, now: () => 0 });
if (event.notif_type === 'low_credit') {
  event.notif_type satisfies 'low_credit';
  event.subject satisfies string;
}
switch (event.notif_type) {
  case 'outbid':
  case 'instance_stopped':
    event.timestamp satisfies number;
    break;
  case 'a_type_of_next_year':
    event satisfies UnknownVastEvent;
    event.new_field satisfies unknown;
    break;
  default:
    event.notif_type satisfies string;
}
sampleEvent('outbid') satisfies VastEventOf<'outbid'>;
vastTypes.outbid.severity satisfies Severity;
(Object.keys(vastTypes) as VastType[]).map((type): VastTypeInfo => vastTypes[type]);
delivery.rawBody.length satisfies number;
delivery.webhook satisfies string | undefined;

// `instanceof` narrows.
function describe(error: unknown): string {
  if (error instanceof WebhookError) return `${error.code} ${error.reason} ${error.status} ${error.permanent}`;
  if (error instanceof ApiError) return `${error.code} ${error.status}`;
  if (error instanceof SinkError) return `${error.status} ${error.retryAfterMs} ${error.permanent}`;
  return String(error);
}
describe(new Error());

// The code of users: a store, a sink, a function that makes options, a worker.
export class TableStore implements IdempotencyStore {
  claim(_key: string, _token: string, _leaseMs: number): ClaimResult {
    return { state: 'in_flight', retryAfterMs: 1000 };
  }
  async renew(): Promise<boolean> {
    return true;
  }
  delivered = () => true;
  complete = () => true;
  release = () => true;
}
export const pager: Sink<VastEvent> = { name: 'pager', deliver() {} };
export const log: SinkFunction<VastEvent> = function log(event, context: SinkContext) {
  console.log(event.subject, context.delivery.attempt);
};
export const options: WebhookOptions = { sinks: [pager, log], store: new TableStore() };
// Events of any sender's, and lists of sinks that are made elsewhere.
export function calmed<Event extends object>(
  sinks: readonly (Sink<Event> | SinkFunction<Event>)[],
  digestOptions: DigestOptions,
): readonly (Sink<Event> | SinkFunction<Event>)[] {
  return sinks.map((sink) => when('*', digest(digestOptions, quiet({ perMinute: 5 }, sink))));
}
calmed([pager, log], { everyMs: 1000 }) satisfies readonly (Sink<VastEvent> | SinkFunction<VastEvent>)[];
export const workerOptions: ForwarderOptions = { sinks: [pager], store: sameMemoryStore() };
const forward: Forward = createForwarder(workerOptions);
forward(delivery) satisfies Promise<void>;
forward(JSON.parse(JSON.stringify(delivery)) as QueuedDelivery);
sign('{}', secret, 1_772_490_100) satisfies string;
keepRawBody satisfies (req: never, res: never, body: Buffer) => void;

// Koa's middleware needs no types of Koa's.
koaVastWebhook(secret, { path: '/hooks/vast' }) satisfies (ctx: KoaContext, next: () => Promise<void>) => Promise<void>;
export const state = (vast: Verified<VastEvent>): VastState => ({ vast });
export const secrets: Secret[] = [secret, [secret], { label: secret }, () => secret];

// Channels and metrics.
const traced = tracingChannel<unknown, DeliveryMessage>('vast-webhook.delivery');
traced.subscribe({
  start: ({ provider }) => console.log(provider),
  end() {},
  asyncStart() {},
  asyncEnd: ({ outcome }) => console.log(outcome?.result),
  error: ({ error }) => console.log(error),
});
tracingChannel<unknown, SinkMessage>('vast-webhook.sink').asyncEnd.subscribe((message) => {
  const { sink, id, type, result, durationMs } = message as SinkMessage;
  console.log(sink, id, type, result satisfies 'delivered' | 'failed' | undefined, durationMs);
});
export function measure(registry: MetricRegistry, options: OutcomeMetricsOptions = { prefix: 'hooks_' }): () => void {
  return outcomeMetrics(registry, options);
}

// The management clients.
const apiOptions: ApiOptions = { apiKey: secret, baseUrl: 'https://proxy.example.com', fetch, timeoutMs: 1000 };
export async function manage(signal: AbortSignal): Promise<void> {
  const options: CallOptions = { signal };
  const vast: VastApi = vastApi(apiOptions);
  const created = await vast.createWebhook({ webhook_url: 'https://example.com', event_types: ['client:outbid'] });
  created.webhook_secret satisfies string;
  created.enabled_notification_preferences satisfies readonly string[];
  (await vast.listTypes(options)) satisfies readonly VastApiType[];
  (await vast.updateWebhook(created.id, { name: null })) satisfies VastApiWebhook;
  // @ts-expect-error only the answers to create and rotate have it
  (await vast.listWebhooks())[0]?.webhook_secret;
  await vast.setPreferences(created.user_id, { client: { low_credit: { email: true, webhooks: true } } });
  const shodai: ShodaiApi = shodaiApi(apiOptions);
  const subscribed = await shodai.createWebhook({ url: 'https://example.com', eventTypes: ['agreement.of.next.year'] });
  subscribed satisfies ShodaiApiWebhookWithSecret;
  (await shodai.testWebhook(subscribed.id)).ok satisfies boolean;
  // @ts-expect-error the service has no such call
  shodai.rotateSecret;
  const v0: V0Api = v0Api(apiOptions);
  const hook = await v0.createWebhook({ name: 'x', url: 'https://example.com', events: ['chat.created'] });
  hook satisfies V0ApiWebhook;
  // @ts-expect-error the service has no such call
  v0.testWebhook;
}

// Code that the compiler must refuse.
// @ts-expect-error
vastApi({});
// @ts-expect-error an environment variable may be missing
vastApi({ apiKey: process.env.VAST_API_KEY });
// @ts-expect-error the field is webhook_url
vastApi(apiOptions).createWebhook({ url: 'https://example.com', event_types: ['client:outbid'] });
// @ts-expect-error an environment variable may be missing
vastWebhook(process.env.VAST_WEBHOOK_SECRET);
// @ts-expect-error
vastWebhook(42);
// @ts-expect-error
vastWebhook();
// @ts-expect-error the option is toleranceSeconds
vastWebhook(secret, { tolerance: 300 });
// @ts-expect-error
vastWebhook(secret, { toleranceSeconds: '300' });
// @ts-expect-error
vastWebhook(secret, { limit: true });
// @ts-expect-error
vastWebhook(secret, { handoff: 'yes' });
// @ts-expect-error a sink has a name
vastWebhook(secret, { sinks: [{ deliver() {} }] });
// @ts-expect-error
vastWebhook(secret, { sinks: slack('https://hooks.slack.com/services/T/B/x') });
// @ts-expect-error
vastWebhook(secret, { store: new Map() });
// @ts-expect-error
vastWebhook(secret, { onOutcome: (outcome: string) => outcome });
// @ts-expect-error the same in Koa
koaVastWebhook(secret, { tolerance: 300 });
// @ts-expect-error a forwarder has no endpoint
createForwarder({ sinks: [pager], path: '/vast/webhooks' });
// @ts-expect-error what is sent is signed
http('https://a.example/hook', { timeoutMs: 3000 });
// @ts-expect-error
outcomeMetrics();
// @ts-expect-error
memoryStore({ max: 1000 });
// @ts-expect-error
slack();
// @ts-expect-error
slack('https://hooks.slack.com/services/T/B/x', { timeout: 1000 });
// @ts-expect-error
verifyDelivery({ headers: {}, body: '' });
// @ts-expect-error
sampleEvent('no_such_type');
// @ts-expect-error
if (event.notif_type === 42) describe(event);
// @ts-expect-error events are as they were signed
event.subject = '';

// From Request to Response: as a server wants it, whatever it gives beside the request.
const answer = fetchVastWebhook(secret, {}, ({ event, delivery }, request) => {
  delivery.verified satisfies true;
  request satisfies Request;
  if (event.notif_type === 'outbid') event.notif_type satisfies 'outbid';
  return new Response(null, { status: 204 });
});
answer satisfies (request: Request, context: { params: Promise<object> }) => Promise<Response>;
answer satisfies (request: Request) => Promise<Response>;
const handler: FetchHandler = async () => new Response();
fetchVastWebhook(secret, { path: '/x', handoff: true }, handler);
// @ts-expect-error
fetchVastWebhook(secret, {}, () => 204);

// Other providers.
const shodai: ShodaiWebhook = shodaiWebhook(secret, {
  sinks: [
    slack('https://hooks.slack.com/services/x'),
    when<ShodaiEvent>('agreement.*', async function audit(event) {
      event.createdAt satisfies string;
    }),
    function typed(event) {
      if (event.type === 'agreement.transitioned') event.type satisfies 'agreement.transitioned';
    },
  ],
});
shodai satisfies Closable;
fetchShodaiWebhook(secret, {}, ({ event }) => Response.json(event.data));
fetchV0Webhook(secret, {}, ({ event, delivery }) => {
  delivery.verified satisfies false;
  return Response.json(event.anything);
});
createForwarder<ShodaiEvent>({
  sinks: [
    function audit(event) {
      event.id satisfies string;
    },
  ],
});

// Catching up.
export const gaps: Gap[] = [];
export const stop: () => Promise<void> = catchUp(vastWebhook(secret), {
  api: vastApi({ apiKey: 'key' }),
  onGap: (gap) => gaps.push(gap),
});
catchUp(forward, { api: { inbox: async () => ({ notifications: [] }) }, everyMs: 60_000, trustIds: true });
catchUpState(memoryStore()) satisfies Promise<CatchUpState | undefined>;
