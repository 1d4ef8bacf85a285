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
  /** With its context, as webhooks subscribe to it: `client:outbid`. */
  readonly key: string;
  /** As `notif_type` carries it: `outbid`. */
  readonly slug: string;
  /** Whom it is for. */
  readonly context: VastContext;
  /** What it is about, in the words of the service. */
  readonly topic: string | null;
  /** How the console groups it. */
  readonly category: string;
  /** How the console calls it. */
  readonly display_name: string;
  /** By channel: `email`, `webhooks`. */
  readonly default_preferences: Readonly<Record<string, boolean>>;
  /** Whether the email for it cannot be switched off. */
  readonly mandatory_email: boolean;
}

/** A webhook as Vast.ai keeps it. */
export interface VastApiWebhook {
  /** Names it in calls. */
  readonly id: number;
  /** The account that it belongs to. */
  readonly user_id: number;
  /** For people. */
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

/** What `createWebhook` and `rotateSecret` give: the only answers that hold the secret. */
export interface VastApiWebhookWithSecret extends VastApiWebhook {
  /** Signs the deliveries. It cannot be asked for again. */
  readonly webhook_secret: string;
}

/** Of these types the service has switched the webhook channel on in the account's preferences. */
export interface VastApiEnabledPreferences {
  /** Full keys: `client:outbid`. */
  readonly enabled_notification_preferences: readonly string[];
}

/** What `createWebhook` takes. */
export interface VastApiWebhookInput {
  /** 120 characters at most, without control characters. */
  readonly name?: string | null;
  /** https, with a host, 2,048 characters at most. It must resolve to a public address and not redirect. */
  readonly webhook_url: string;
  /** At least one full key: `client:outbid`, `host:machine_offline`. */
  readonly event_types: readonly string[];
}

/** By context, slug and channel: `{ client: { low_credit: { email: true, webhooks: true } } }`. */
export type VastApiPreferences = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, boolean>>>>>>;

/**
 * The notification calls of Vast.ai. Fields are named as the service names them, in and out. Each call rejects with a
 * `TypeError` for what the service documents as wrong, before anything is sent, and otherwise with an `ApiError`.
 */
export interface VastApi {
  /** All types that the account can subscribe to. The list grows. */
  listTypes(options?: CallOptions): Promise<readonly VastApiType[]>;
  /** All webhooks of the account, four at most. */
  listWebhooks(options?: CallOptions): Promise<readonly VastApiWebhook[]>;
  /**
   * Asks for the list first, since an account has four webhooks at most: with four it rejects with an `ApiError` of
   * the code `too_many_webhooks`. A key that may not list is let through.
   */
  createWebhook(
    webhook: VastApiWebhookInput,
    options?: CallOptions,
  ): Promise<VastApiWebhookWithSecret & VastApiEnabledPreferences>;
  /** Sets the fields that are given. */
  updateWebhook(
    id: number,
    changes: Partial<VastApiWebhookInput>,
    options?: CallOptions,
  ): Promise<VastApiWebhook & VastApiEnabledPreferences>;
  /** From then on deliveries are signed with the new secret. That the old one is good for a while is not documented. */
  rotateSecret(id: number, options?: CallOptions): Promise<VastApiWebhookWithSecret>;
  /**
   * Has a signed `webhook_test` delivered, and rejects when the endpoint does not take it: with the status 400 and
   * "Webhook URL is not deliverable" also when it answers 401, because its secret is another.
   */
  testWebhook(
    id: number,
    options?: CallOptions,
  ): Promise<{
    /** What the service says, for people. */
    readonly msg: string;
  }>;
  /** Deletes it. */
  deleteWebhook(id: number, options?: CallOptions): Promise<void>;
  /** Which notifications the account gets by which channel. */
  preferences(userId: number, options?: CallOptions): Promise<VastApiPreferences>;
  /** Replaces all preferences: change what `preferences` gave, and send it whole. */
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
 * Attempts that fail for a passing reason are repeated up to four times, except those that create, rotate or test.
 * Throws a `TypeError` for options that nobody can have meant.
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

  // Every path ends in a slash: without it the service answers with a redirect.
  const pathOf = (method: string, id: number) => `/webhooks/${numericSegment(method, 'id', id)}/`;
  const preferencesPathOf = (method: string, userId: number) =>
    `/users/${numericSegment(method, 'userId', userId)}/notification-prefs/`;

  async function isFull(signal: AbortSignal | undefined): Promise<boolean> {
    try {
      return (await call({ method: 'GET', path: '/webhooks/', signal }, webhooksIn)).length >= maxWebhooks;
    } catch (error) {
      // A key without the scope to list may well have the one to create.
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
        const message = `Vast.ai takes ${maxWebhooks} webhooks an account, and there are as many: update or delete one.`;
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

// What the answers hold, or undefined when it is not there.

function typesIn(answer: unknown): readonly VastApiType[] | undefined {
  return listWith<VastApiType>(fieldOf(answer, 'notification_types'), 'key', 'string');
}

function webhooksIn(answer: unknown): readonly VastApiWebhook[] | undefined {
  return listWith<VastApiWebhook>(fieldOf(answer, 'webhooks'), 'id', 'number');
}

function webhookIn(answer: unknown): VastApiWebhook | undefined {
  return objectWith<VastApiWebhook>(fieldOf(answer, 'webhook'), 'id', 'number');
}

/** Whatever else is not as documented: it cannot be asked for again. */
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
