import type { Check } from '../util/check-options.js';
import { type ApiOptions, type CallOptions, caller } from './caller.js';
import { fieldOf, isFields, listWith, objectWith } from './read.js';
import { checkChanges, checkFields, type FieldRules, httpsUrl, isText, segment } from './rules.js';

/** The event types that a webhook can subscribe to. Source: CNSLabs/agreements-api-sdk. */
export const shodaiEventTypes = ['agreement.transitioned', 'agreement.notification.triggered'] as const;

/** An event type, or one that this version does not know. */
export type ShodaiEventType = (typeof shodaiEventTypes)[number] | (string & {});

/** Only events that match are delivered. */
export interface ShodaiApiFilters {
  /** Only events of these agreements. */
  readonly agreementIds?: readonly string[];
  /** Only events of agreements from these templates. */
  readonly templateIds?: readonly string[];
  /** Only events of these inputs, which cause transitions. */
  readonly inputIds?: readonly string[];
  /** Only transitions out of these states. */
  readonly fromStates?: readonly string[];
  /** Only transitions into these states. */
  readonly toStates?: readonly string[];
  /** Only notifications of these rules. */
  readonly ruleIds?: readonly string[];
}

/** A webhook as Shodai keeps it. */
export interface ShodaiApiWebhook {
  /** Names it in calls. */
  readonly id: string;
  /** Where deliveries go. */
  readonly url: string;
  /** Shodai delivers only to `active` webhooks. */
  readonly status: 'active' | 'disabled';
  /** Event types that are delivered. */
  readonly eventTypes: readonly ShodaiEventType[];
  /** Which events of these types are delivered. */
  readonly filters?: ShodaiApiFilters;
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601. */
  readonly updatedAt: string;
  /** Owner of the webhook. */
  readonly principalId?: string;
  /** Shodai's id of the API key that created the webhook. */
  readonly createdByApiKeyId?: string;
  /** Facts about the call, not about the webhook. Absent in lists. */
  readonly meta?: ShodaiApiMeta;
}

/** Facts about a call to Shodai. */
export interface ShodaiApiMeta {
  /** Version of the API: `2026-06-01`. */
  readonly apiVersion?: string;
  /** Shodai's id of the call, for its support. */
  readonly requestId?: string;
}

/** Result of `createWebhook`: the only answer with the secret. */
export interface ShodaiApiWebhookWithSecret extends ShodaiApiWebhook {
  /** The secret that signs the deliveries, with its `whsec_`. The API never returns it again. */
  readonly secret: string;
}

/** Fields of `createWebhook`. */
export interface ShodaiApiWebhookInput {
  /** https. */
  readonly url: string;
  /** If omitted, null or empty: `agreement.transitioned`. */
  readonly eventTypes?: readonly ShodaiEventType[] | null;
  /** If omitted, all events of these types are delivered. */
  readonly filters?: ShodaiApiFilters;
}

/** Fields of `updateWebhook`: at least one. */
export interface ShodaiApiWebhookChanges extends Partial<ShodaiApiWebhookInput> {
  /** `active` restores a deleted webhook, because deleting only disables it. */
  readonly status?: 'active' | 'disabled';
}

/** Result of a test delivery. */
export interface ShodaiApiTestResult {
  /** Whether the endpoint accepted the test event. */
  readonly ok: boolean;
  /** Shodai's id of the delivery. */
  readonly deliveryId?: string;
  /** State of the delivery. */
  readonly status?: 'pending' | 'succeeded' | 'failed' | 'retry_pending';
  /** HTTP status of the endpoint's answer. */
  readonly responseStatus?: number;
  /** Reason of the failure, as reported by Shodai. */
  readonly error?: string;
}

/**
 * The webhook calls of Shodai. All fields have the service's own names. For an argument that the service documents as
 * invalid, a call rejects with a `TypeError` and sends nothing. All other failures are an `ApiError`.
 * Shodai cannot rotate a secret: create another webhook instead.
 */
export interface ShodaiApi {
  /** Lists all webhooks, including disabled ones. */
  listWebhooks(options?: CallOptions): Promise<readonly ShodaiApiWebhook[]>;
  /** Gets one webhook. */
  getWebhook(id: string, options?: CallOptions): Promise<ShodaiApiWebhook>;
  /** Creates a webhook. Only this answer has its secret. Not retried. */
  createWebhook(webhook: ShodaiApiWebhookInput, options?: CallOptions): Promise<ShodaiApiWebhookWithSecret>;
  /** Changes the given fields. */
  updateWebhook(id: string, changes: ShodaiApiWebhookChanges, options?: CallOptions): Promise<ShodaiApiWebhook>;
  /** Sends a signed `webhook.test` to the endpoint. A failed delivery does not reject: check `ok`. */
  testWebhook(id: string, options?: CallOptions): Promise<ShodaiApiTestResult>;
  /** Disables the webhook. It stays in the list. */
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
 * Temporary failures are retried, up to four attempts in all, except in calls that create or test.
 * Throws a `TypeError` for invalid options.
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
        // Only the secret is required, because the API never returns it again.
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
