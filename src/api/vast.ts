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
  /** Default by channel: `email`, `webhooks`, `sms`, `whatsapp`, and `in_app` for types that the inbox shows. */
  readonly default_preferences: Readonly<Record<string, boolean>>;
  /** Whether its email cannot be switched off. */
  readonly mandatory_email: boolean;
  /** Whether it is about the account's own security. */
  readonly security_critical?: boolean;
  /** Whether it is not sent yet. */
  readonly unreleased?: boolean;
  /** `required`, or `bypass` for `storage_full` and `idle_gpu`. Not documented by the service. */
  readonly effects_opt_in_policy?: 'required' | 'bypass' | (string & {});
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
 * An instance. Fields that this version does not name are there, too, and any but `id` may be missing.
 * Source: docs.vast.ai, show instance; measured meanings: kingofsunnyvale/interruptible-runner.
 */
export interface VastApiInstance {
  /** Names it in calls, and in the texts of events. */
  readonly id: number;
  /** Name for people. */
  readonly label?: string | null;
  /** State of its container: `running`, `exited`, `stopped`, `loading`. Null while it is being made. */
  readonly actual_status?: string | null;
  /** The state that it should be in. An outbid sets `stopped`, some 10 to 30 s before the container exits. */
  readonly intended_status?: string | null;
  /** State of its contract with the machine. */
  readonly cur_state?: string | null;
  /** The machine that it runs on. */
  readonly machine_id?: number;
  /** Name of the GPU. */
  readonly gpu_name?: string | null;
  /** Number of its GPUs. */
  readonly num_gpus?: number;
  /** Price without storage, in dollars an hour. For an interruptible instance, your bid. */
  readonly dph_base?: number;
  /** Price with storage, in dollars an hour. */
  readonly dph_total?: number;
  /** The larger of the machine's lowest price and 1.2 times your own bid: do not follow it after a raise. */
  readonly min_bid?: number;
  /** Whether it is interruptible. */
  readonly is_bid?: boolean;
  /** Text from the host, for people. It says `success, running` also of a stopped instance. */
  readonly status_msg?: string | null;
  readonly [field: string]: unknown;
}

/** A notification in the inbox. Fields that this version does not name are there, too. */
export interface VastApiNotification {
  /** Id of the event. Whether a webhook's delivery has the same one is not documented. */
  readonly event_id: string;
  /** The slug, without its `client:` or `host:`. */
  readonly notif_type?: string;
  /** Text for people. */
  readonly subject?: string;
  /** Text for people. */
  readonly message?: string;
  /** When it was made, in Unix seconds with a fraction. */
  readonly created_at: number;
  /** Who it is for. */
  readonly user_context?: VastContext;
  /** Facts that a delivery has only in its texts. `detailsOf` reads them. */
  readonly associated_id?: Readonly<Record<string, unknown>> | null;
  readonly [field: string]: unknown;
}

/** The newest notifications of the account. */
export interface VastApiInbox {
  /** Newest first, 50 at most. */
  readonly notifications: readonly VastApiNotification[];
  /** How many more rows there are, without an id or a time. */
  readonly omitted?: number;
  /** When the service answered, by its clock, in Unix seconds. Undefined if it does not say. */
  readonly date?: number;
  readonly [field: string]: unknown;
}

/**
 * Calls of Vast.ai about notifications and instances. All fields have the service's own names. For an argument that the service
 * documents as invalid, a call rejects with a `TypeError` and sends nothing. All other failures are an `ApiError`.
 * Calls that change an instance are sent once, and only again after a 429, because a late repeat would undo a newer
 * call. Where their `ApiError` is `inDoubt`, ask for the instance before you act.
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
  /** Gets one instance. Without one: an `ApiError` of the status 404 or the code `no_such_instance`. */
  instance(id: number, options?: CallOptions): Promise<VastApiInstance>;
  /** Lists all instances, 25 a call. The loop rejects where a call fails. */
  instances(options?: CallOptions): AsyncIterableIterator<VastApiInstance>;
  /** Sets the bid of an interruptible instance: 0.001 to 32 dollars an hour and GPU. Not repeated, except after a 429. */
  setBid(id: number, price: number, options?: CallOptions): Promise<void>;
  /** Starts a stopped instance. Not repeated, except after a 429. */
  startInstance(id: number, options?: CallOptions): Promise<void>;
  /** Stops an instance. Its storage is still charged. Not repeated, except after a 429. */
  stopInstance(id: number, options?: CallOptions): Promise<void>;
  /**
   * Gets the newest notifications, of the types that the console shows. They are not marked as seen. Rows without an id
   * or a time are left out. The call is not documented at present and may go: an `ApiError` of the status 404.
   */
  inbox(options?: CallOptions): Promise<VastApiInbox>;
}

const maxWebhooks = 4;
/** The service gives no more in one page. */
const pageLength = 25;
const leastBid = 0.001;
const highestBid = 32;

const webhookFields: FieldRules = {
  name: orNull(nameUpTo(120)),
  webhook_url: httpsUrlUpTo(2_048),
  event_types: listOf(isTypeKey, 'type with its context, client: or host: (client:outbid)'),
};

/**
 * A client of Vast.ai's management API, `https://console.vast.ai/api/v0`. Source: docs.vast.ai, notifications.
 * Temporary failures are retried, up to four attempts in all, except in calls that create, rotate, test or
 * change an instance. A `baseUrl` ends in the version of most calls (`/api/v0`) or in none (`/api`).
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
      version: 'v0',
      authorize: (apiKey) => ({ Authorization: `Bearer ${apiKey}` }),
    },
    options,
  );

  // Every path ends in a slash, because the service redirects a path without one.
  const pathOf = (method: string, id: number) => `/webhooks/${numericSegment(method, 'id', id)}/`;
  const preferencesPathOf = (method: string, userId: number) =>
    `/users/${numericSegment(method, 'userId', userId)}/notification-prefs/`;

  const instancePathOf = (method: string, id: number) => `/instances/${numericSegment(method, 'id', id)}/`;

  async function setState(method: string, id: number, state: 'running' | 'stopped', signal: AbortSignal | undefined) {
    const path = instancePathOf(method, id);
    await call({ method: 'PUT', path, body: { state }, retries: 'refused', signal }, isDone);
  }

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
    async instance(id, { signal } = {}) {
      const path = instancePathOf('instance', id);
      const { instances } = await call({ method: 'GET', path, signal }, instanceIn);
      if (instances !== null) return instances;
      throw new ApiError(`Vast.ai has no instance ${id}.`, { status: 200, code: 'no_such_instance' });
    },
    async *instances({ signal } = {}) {
      const seen = new Set<string>();
      for (let token = ''; ; ) {
        const after = token && `&after_token=${encodeURIComponent(token)}`;
        const path = `/instances/?limit=${pageLength}${after}`;
        const { rows, next } = await call({ method: 'GET', path, version: 'v1', signal }, pageIn);
        yield* rows.filter((row) => objectWith<VastApiInstance>(row, 'id', 'number') !== undefined);
        // A repeated token, or a page without rows, would be a loop without an end.
        if (next === undefined || seen.has(next) || rows.length === 0) return;
        seen.add(next);
        token = next;
      }
    },
    async setBid(id, price, { signal } = {}) {
      const path = `/instances/bid_price/${numericSegment('setBid', 'id', id)}/`;
      if (!(typeof price === 'number' && price >= leastBid && price <= highestBid)) {
        throw new TypeError(`setBid: price must be ${leastBid} to ${highestBid} dollars an hour and GPU`);
      }
      await call({ method: 'PUT', path, body: { client_id: 'me', price }, retries: 'refused', signal }, isDone);
    },
    async startInstance(id, { signal } = {}) {
      await setState('startInstance', id, 'running', signal);
    },
    async stopInstance(id, { signal } = {}) {
      await setState('stopInstance', id, 'stopped', signal);
    },
    async inbox({ signal } = {}) {
      return call({ method: 'GET', path: '/notifications/inbox/', signal }, inboxIn);
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

/** Null for an instance that is gone. */
function instanceIn(answer: unknown): { readonly instances: VastApiInstance | null } | undefined {
  const instances = fieldOf(answer, 'instances');
  const instance = instances === null ? null : objectWith<VastApiInstance>(instances, 'id', 'number');
  return instance === undefined ? undefined : { instances: instance };
}

function pageIn(answer: unknown): { readonly rows: readonly VastApiInstance[]; readonly next?: string } | undefined {
  const { instances, next_token: next } = Object(answer) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(instances)) return undefined;
  return { rows: instances, ...(typeof next === 'string' && next !== '' && { next }) };
}

function inboxIn(answer: unknown, date: number | undefined): VastApiInbox | undefined {
  const rows = fieldOf(answer, 'notifications');
  if (!Array.isArray(rows)) return undefined;
  const notifications = rows.filter(isNotification);
  return { ...Object(answer), notifications, omitted: rows.length - notifications.length, date };
}

/** Requires only the id and the time. One odd row must not hide the others. */
function isNotification(row: unknown): row is VastApiNotification {
  const { event_id: id, created_at: time } = Object(row) as Readonly<Record<string, unknown>>;
  return isFields(row) && typeof id === 'string' && id !== '' && Number.isFinite(time);
}

function isDone(): true {
  return true;
}
