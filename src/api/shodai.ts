import type { Check } from '../util/check-options.js';
import { type ApiOptions, type CallOptions, caller } from './caller.js';
import { fieldOf, isFields, listWith, objectWith } from './read.js';
import { checkChanges, checkFields, type FieldRules, httpsUrl, isText, segment } from './rules.js';

/** The event types that a webhook can subscribe to. Source: CNSLabs/agreements-api-sdk. */
export const shodaiEventTypes = ['agreement.transitioned', 'agreement.notification.triggered'] as const;

/** An event type, or one that this version does not know. */
export type ShodaiEventType = (typeof shodaiEventTypes)[number] | (string & {});

/** Only what matches is delivered. */
export interface ShodaiApiFilters {
  /** Of these agreements. */
  readonly agreementIds?: readonly string[];
  /** Of agreements from these templates. */
  readonly templateIds?: readonly string[];
  /** Of these inputs, which cause transitions. */
  readonly inputIds?: readonly string[];
  /** Transitions out of these states. */
  readonly fromStates?: readonly string[];
  /** Transitions into these states. */
  readonly toStates?: readonly string[];
  /** Notifications of these rules. */
  readonly ruleIds?: readonly string[];
}

/** A webhook as Shodai keeps it. */
export interface ShodaiApiWebhook {
  /** Names it in calls. */
  readonly id: string;
  /** Where deliveries go. */
  readonly url: string;
  /** Only to an `active` one anything is delivered. */
  readonly status: 'active' | 'disabled';
  /** What is delivered. */
  readonly eventTypes: readonly ShodaiEventType[];
  /** Which of it. */
  readonly filters?: ShodaiApiFilters;
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601. */
  readonly updatedAt: string;
  /** Whose webhook it is. */
  readonly principalId?: string;
  /** The API key that it was made with, by Shodai's name for it. */
  readonly createdByApiKeyId?: string;
  /** Of the call, and not of the webhook. Absent in lists. */
  readonly meta?: ShodaiApiMeta;
}

/** What Shodai says of a call. */
export interface ShodaiApiMeta {
  /** Of the API: `2026-06-01`. */
  readonly apiVersion?: string;
  /** Shodai's number of the call, for its support. */
  readonly requestId?: string;
}

/** What `createWebhook` gives: the only answer that holds the secret. */
export interface ShodaiApiWebhookWithSecret extends ShodaiApiWebhook {
  /** Signs the deliveries, its `whsec_` included. It cannot be asked for again. */
  readonly secret: string;
}

/** What `createWebhook` takes. */
export interface ShodaiApiWebhookInput {
  /** https. */
  readonly url: string;
  /** Left out, null or empty: `agreement.transitioned`. */
  readonly eventTypes?: readonly ShodaiEventType[] | null;
  /** Left out: everything of these types is delivered. */
  readonly filters?: ShodaiApiFilters;
}

/** What `updateWebhook` takes: at least one field. */
export interface ShodaiApiWebhookChanges extends Partial<ShodaiApiWebhookInput> {
  /** `active` brings a webhook back that was deleted, which disables it. */
  readonly status?: 'active' | 'disabled';
}

/** How a test delivery went. */
export interface ShodaiApiTestResult {
  /** Whether the endpoint took the test event. */
  readonly ok: boolean;
  /** Shodai's own number of the delivery. */
  readonly deliveryId?: string;
  /** How far it has come. */
  readonly status?: 'pending' | 'succeeded' | 'failed' | 'retry_pending';
  /** HTTP status that the endpoint answered with. */
  readonly responseStatus?: number;
  /** Why it was not taken, in the words of the service. */
  readonly error?: string;
}

/**
 * The webhook calls of Shodai. Fields are named as the service names them, in and out. Each call rejects with a
 * `TypeError` for what the service documents as wrong, before anything is sent, and otherwise with an `ApiError`.
 * A secret cannot be rotated: create another webhook.
 */
export interface ShodaiApi {
  /** All webhooks, disabled ones, too. */
  listWebhooks(options?: CallOptions): Promise<readonly ShodaiApiWebhook[]>;
  /** One webhook. */
  getWebhook(id: string, options?: CallOptions): Promise<ShodaiApiWebhook>;
  /** Makes a webhook and gives its secret, for the only time. Not repeated when it fails. */
  createWebhook(webhook: ShodaiApiWebhookInput, options?: CallOptions): Promise<ShodaiApiWebhookWithSecret>;
  /** Sets the fields that are given. */
  updateWebhook(id: string, changes: ShodaiApiWebhookChanges, options?: CallOptions): Promise<ShodaiApiWebhook>;
  /** Has a signed `webhook.test` delivered. An endpoint that does not take it is no error: look at `ok`. */
  testWebhook(id: string, options?: CallOptions): Promise<ShodaiApiTestResult>;
  /** Disables the webhook, which stays in the list. */
  deleteWebhook(id: string, options?: CallOptions): Promise<ShodaiApiWebhook>;
}

const filterNames: readonly (keyof ShodaiApiFilters)[] = [
  'agreementIds',
  'templateIds',
  'inputIds',
  'fromStates',
  'toStates',
  'ruleIds',
];

const webhookFields: FieldRules = {
  url: httpsUrl,
  eventTypes: [
    (value) => value === null || (Array.isArray(value) && value.every(isText)),
    `a list of event types (${shodaiEventTypes.join(', ')}), or null`,
  ],
  filters: [areFilters, `an object with lists of strings under ${filterNames.join(', ')}`],
};

const status: Check = [(value) => value === 'active' || value === 'disabled', "'active' or 'disabled'"];

/**
 * A client of Shodai's Agreements API, `https://api.shodai.network`; for its test network set `baseUrl` to
 * `https://test-api.shodai.network`. Source: docs.shodai.network and the repository CNSLabs/agreements-api-sdk.
 * Attempts that fail for a passing reason are repeated up to four times, except those that create or test.
 * Throws a `TypeError` for options that nobody can have meant.
 */
export function shodaiApi(options: ApiOptions): ShodaiApi {
  const call = caller(
    {
      name: 'Shodai',
      baseUrl: 'https://api.shodai.network',
      authorize: (apiKey) => ({ 'X-API-Key': apiKey }),
    },
    options,
  );
  const pathOf = (method: string, id: string) => `/v0/webhooks/${segment(method, id)}`;

  return {
    async listWebhooks({ signal } = {}) {
      return call({ method: 'GET', path: '/v0/webhooks', signal }, (answer) =>
        listWith<ShodaiApiWebhook>(fieldOf(answer, 'data'), 'id', 'string'),
      );
    },
    async getWebhook(id, { signal } = {}) {
      return call({ method: 'GET', path: pathOf('getWebhook', id), signal }, webhookIn);
    },
    async createWebhook(webhook, { signal } = {}) {
      checkFields('createWebhook', webhook, webhookFields, ['url']);
      return call({ method: 'POST', path: '/v0/webhooks', body: webhook, signal }, (answer) => {
        // Whatever else is not as documented: it cannot be asked for again.
        const created = objectWith<ShodaiApiWebhookWithSecret>(fieldOf(answer, 'data'), 'secret', 'string');
        return created?.secret === '' ? undefined : withMeta(created, answer);
      });
    },
    async updateWebhook(id, changes, { signal } = {}) {
      const path = pathOf('updateWebhook', id);
      checkChanges('updateWebhook', changes, { ...webhookFields, status });
      return call({ method: 'PATCH', path, body: changes, signal }, webhookIn);
    },
    async testWebhook(id, { signal } = {}) {
      const path = `${pathOf('testWebhook', id)}/test`;
      return call({ method: 'POST', path, signal }, (answer) =>
        objectWith<ShodaiApiTestResult>(fieldOf(answer, 'data'), 'ok', 'boolean'),
      );
    },
    async deleteWebhook(id, { signal } = {}) {
      return call({ method: 'DELETE', path: pathOf('deleteWebhook', id), signal }, webhookIn);
    },
  };
}

function webhookIn(answer: unknown): ShodaiApiWebhook | undefined {
  return withMeta(objectWith<ShodaiApiWebhook>(fieldOf(answer, 'data'), 'id', 'string'), answer);
}

function withMeta<Webhook extends ShodaiApiWebhook>(webhook: Webhook | undefined, answer: unknown) {
  const meta = fieldOf(answer, 'meta');
  return webhook && isFields(meta) ? { ...webhook, meta } : webhook;
}

function areFilters(value: unknown): boolean {
  if (!isFields(value)) return false;
  return Object.entries(value).every(
    ([name, list]) =>
      (filterNames as readonly string[]).includes(name) &&
      (list === undefined || (Array.isArray(list) && list.every(isText))),
  );
}
