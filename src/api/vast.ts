import type { VastContext } from '../providers/vast.js';
import { ApiError } from './api-error.js';
import { type ApiOptions, type CallOptions, caller } from './caller.js';
import { fieldOf, isFields, listWith, objectWith } from './read.js';
import {
  checkChanges,
  checkFields,
  type FieldRules,
  httpsUrlUpTo,
  listOf,
  nameUpTo,
  numericSegment,
  orNull,
} from './rules.js';

/** A notification type that a webhook can subscribe to. */
export interface VastApiType {
  /** Slug with context, as in a webhook's `event_types`: `client:outbid`. */
  readonly key: string;
  /** Slug, as in `notif_type`: `outbid`. */
  readonly slug: string;
  /** Who it is for. */
  readonly context: VastContext;
  /** Its topic, as named by the service. */
  readonly topic: string | null;
  /** Its group in the console. */
  readonly category: string;
  /** Its name in the console. */
  readonly display_name: string;
  /** Default by channel: `email`, `webhooks`. */
  readonly default_preferences: Readonly<Record<string, boolean>>;
  /** Whether its email cannot be switched off. */
  readonly mandatory_email: boolean;
}

/** A webhook as Vast.ai keeps it. */
export interface VastApiWebhook {
  /** Names it in calls. */
  readonly id: number;
  /** The account that it belongs to. */
  readonly user_id: number;
  /** Name for people. */
  readonly name: string | null;
  /** Where deliveries go. */
  readonly webhook_url: string;
  /** Full keys: `client:outbid`. */
  readonly event_types: readonly string[];
  /** Unix seconds. */
  readonly created_at: number;
  /** Unix seconds. */
  readonly updated_at: number;
}

/** Result of `createWebhook` and `rotateSecret`: the only answers with the secret. */
export interface VastApiWebhookWithSecret extends VastApiWebhook {
  /** The secret that signs the deliveries. The API never returns it again. */
  readonly webhook_secret: string;
}

/** Types for which the service has switched on the webhook channel in the account's preferences. */
export interface VastApiEnabledPreferences {
  /** Full keys: `client:outbid`. */
  readonly enabled_notification_preferences: readonly string[];
}

/** Fields of `createWebhook`. */
export interface VastApiWebhookInput {
  /** 120 characters at most, without control characters. */
  readonly name?: string | null;
  /** https, with a host, 2,048 characters at most. It must resolve to a public address and not redirect. */
  readonly webhook_url: string;
  /** At least one full key: `client:outbid`, `host:machine_offline`. */
  readonly event_types: readonly string[];
}

/** Preferences by context, slug and channel: `{ client: { low_credit: { email: true, webhooks: true } } }`. */
export type VastApiPreferences = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, boolean>>>>>>;

/**
 * The notification calls of Vast.ai. All fields have the service's own names. For an argument that the service
 * documents as invalid, a call rejects with a `TypeError` and sends nothing. All other failures are an `ApiError`.
 */
export interface VastApi {
  /** Lists all types that the account can subscribe to. The list grows. */
  listTypes(options?: CallOptions): Promise<readonly VastApiType[]>;
  /** Lists all webhooks of the account, four at most. */
  listWebhooks(options?: CallOptions): Promise<readonly VastApiWebhook[]>;
  /**
   * Creates a webhook. Not retried. Lists the webhooks first, because an account has four at most. With four, it
   * rejects with an `ApiError` of the code `too_many_webhooks`. If the key may not list, this check is skipped.
   */
  createWebhook(
    webhook: VastApiWebhookInput,
    options?: CallOptions,
  ): Promise<VastApiWebhookWithSecret & VastApiEnabledPreferences>;
  /** Changes the given fields. */
  updateWebhook(
    id: number,
    changes: Partial<VastApiWebhookInput>,
    options?: CallOptions,
  ): Promise<VastApiWebhook & VastApiEnabledPreferences>;
  /** Makes a new secret, which signs deliveries from then on. An overlap with the old one is not documented. */
  rotateSecret(id: number, options?: CallOptions): Promise<VastApiWebhookWithSecret>;
  /**
   * Sends a signed `webhook_test` to the endpoint. Rejects if the endpoint does not accept it. The error has the status
   * 400 and "Webhook URL is not deliverable", even if the endpoint answers 401 because its secret is wrong.
   */
  testWebhook(
    id: number,
    options?: CallOptions,
  ): Promise<{
    /** Text from the service, for people. */
    readonly msg: string;
  }>;
  /** Deletes the webhook. */
  deleteWebhook(id: number, options?: CallOptions): Promise<void>;
  /** Gets the account's preferences: which notifications it gets by which channel. */
  preferences(userId: number, options?: CallOptions): Promise<VastApiPreferences>;
  /** Replaces all preferences. Change the result of `preferences` and pass all of it. */
  setPreferences(userId: number, preferences: VastApiPreferences, options?: CallOptions): Promise<VastApiPreferences>;
}

const maxWebhooks = 4;

const webhookFields: FieldRules = {
  name: orNull(nameUpTo(120)),
  webhook_url: httpsUrlUpTo(2_048),
  event_types: listOf(isTypeKey, 'type with its context, client: or host: (client:outbid)'),
};

/**
 * A client of Vast.ai's management API, `https://console.vast.ai/api/v0`. Source: docs.vast.ai, notifications.
 * Temporary failures are retried, up to four attempts in all, except in calls that create, rotate or test.
 * Throws a `TypeError` for invalid options.
 *
 * @example
 * const api = vastApi({ apiKey: process.env.VAST_API_KEY! });
 * const { webhook_secret } = await api.createWebhook({
 *   webhook_url: 'https://example.com/vast/webhooks',
 *   event_types: ['client:outbid', 'client:low_credit'],
 * });
 */
export function vastApi(options: ApiOptions): VastApi {
  const call = caller(
    {
      name: 'Vast.ai',
      baseUrl: 'https://console.vast.ai/api/v0',
      authorize: (apiKey) => ({ Authorization: `Bearer ${apiKey}` }),
    },
    options,
  );

  // Every path ends in a slash, because the service redirects a path without one.
  const pathOf = (method: string, id: number) => `/webhooks/${numericSegment(method, 'id', id)}/`;
  const preferencesPathOf = (method: string, userId: number) =>
    `/users/${numericSegment(method, 'userId', userId)}/notification-prefs/`;

  async function isFull(signal: AbortSignal | undefined): Promise<boolean> {
    try {
      return (await call({ method: 'GET', path: '/webhooks/', signal }, webhooksIn)).length >= maxWebhooks;
    } catch (error) {
      // A key without the scope to list may still have the scope to create.
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return false;
      throw error;
    }
  }

  return {
    async listTypes({ signal } = {}) {
      return call({ method: 'GET', path: '/notification-types/', signal }, typesIn);
    },
    async listWebhooks({ signal } = {}) {
      return call({ method: 'GET', path: '/webhooks/', signal }, webhooksIn);
    },
    async createWebhook(webhook, { signal } = {}) {
      checkFields('createWebhook', webhook, webhookFields, ['webhook_url', 'event_types']);
      if (await isFull(signal)) {
        const message = `Vast.ai allows ${maxWebhooks} webhooks per account, and this account has ${maxWebhooks}: update or delete one.`;
        throw new ApiError(message, { status: 0, code: 'too_many_webhooks' });
      }
      return call({ method: 'POST', path: '/webhooks/', body: webhook, signal }, (answer) => {
        const created = secretIn(answer);
        return created && { ...created, ...enabledIn(answer) };
      });
    },
    async updateWebhook(id, changes, { signal } = {}) {
      const path = pathOf('updateWebhook', id);
      checkChanges('updateWebhook', changes, webhookFields);
      return call({ method: 'PUT', path, body: changes, signal }, (answer) => {
        const updated = webhookIn(answer);
        return updated && { ...updated, ...enabledIn(answer) };
      });
    },
    async rotateSecret(id, { signal } = {}) {
      const path = `${pathOf('rotateSecret', id)}rotate-secret/`;
      return call({ method: 'POST', path, signal }, secretIn);
    },
    async testWebhook(id, { signal } = {}) {
      const path = `${pathOf('testWebhook', id)}test/`;
      return call({ method: 'POST', path, signal }, (answer) => ({ msg: String(fieldOf(answer, 'msg') ?? '') }));
    },
    async deleteWebhook(id, { signal } = {}) {
      await call({ method: 'DELETE', path: pathOf('deleteWebhook', id), signal }, () => true);
    },
    async preferences(userId, { signal } = {}) {
      return call({ method: 'GET', path: preferencesPathOf('preferences', userId), signal }, preferencesIn);
    },
    async setPreferences(userId, preferences, { signal } = {}) {
      const path = preferencesPathOf('setPreferences', userId);
      if (!arePreferences(preferences)) {
        throw new TypeError('setPreferences: preferences must be { context: { slug: { channel: true or false } } }');
      }
      const body = { notification_preferences: preferences };
      return call({ method: 'PUT', path, body, signal }, preferencesIn);
    },
  };
}

function isTypeKey(value: unknown): boolean {
  return typeof value === 'string' && /^(client|host):[^\s\p{Cc}]+$/u.test(value);
}

function arePreferences(value: unknown): value is VastApiPreferences {
  const isRecordOf = (isValid: (value: unknown) => boolean) => (value: unknown) =>
    isFields(value) && Object.values(value).every(isValid);
  return isRecordOf(isRecordOf(isRecordOf((isOn) => typeof isOn === 'boolean')))(value);
}

// Readers of the answers. They return undefined for an answer in another form.

function typesIn(answer: unknown): readonly VastApiType[] | undefined {
  return listWith<VastApiType>(fieldOf(answer, 'notification_types'), 'key', 'string');
}

function webhooksIn(answer: unknown): readonly VastApiWebhook[] | undefined {
  return listWith<VastApiWebhook>(fieldOf(answer, 'webhooks'), 'id', 'number');
}

function webhookIn(answer: unknown): VastApiWebhook | undefined {
  return objectWith<VastApiWebhook>(fieldOf(answer, 'webhook'), 'id', 'number');
}

/** Requires only the secret, because the API never returns it again. */
function secretIn(answer: unknown): VastApiWebhookWithSecret | undefined {
  const webhook = objectWith<VastApiWebhookWithSecret>(fieldOf(answer, 'webhook'), 'webhook_secret', 'string');
  return webhook?.webhook_secret === '' ? undefined : webhook;
}

function enabledIn(answer: unknown): VastApiEnabledPreferences {
  const enabled = fieldOf(answer, 'enabled_notification_preferences');
  return { enabled_notification_preferences: Array.isArray(enabled) ? enabled : [] };
}

function preferencesIn(answer: unknown): VastApiPreferences | undefined {
  const preferences = fieldOf(answer, 'notification_preferences');
  return isFields(preferences) ? (preferences as VastApiPreferences) : undefined;
}
