import { type ApiOptions, type CallOptions, caller } from './caller.js';
import { listWith, objectWith } from './read.js';
import {
  checkChanges,
  checkFields,
  type FieldRules,
  httpsUrl,
  isText,
  listOf,
  orNull,
  segment,
  text,
} from './rules.js';

/** The event types that a hook can subscribe to. Source: the repository vercel/v0-sdk. */
export const v0EventTypes = [
  'chat.created',
  'chat.updated',
  'chat.deleted',
  'message.created',
  'message.updated',
  'message.deleted',
  'message.finished',
] as const;

/** An event type, or one that this version does not know. */
export type V0EventType = (typeof v0EventTypes)[number] | (string & {});

/** A hook as listed: id and name. */
export interface V0ApiWebhookSummary {
  /** Names it in calls. */
  readonly id: string;
  /** Name for people. */
  readonly name: string;
}

/** A hook as v0 keeps it. It has no secret: deliveries are unsigned. */
export interface V0ApiWebhook extends V0ApiWebhookSummary {
  /** Event types that are delivered. */
  readonly events: readonly V0EventType[];
  /** Where deliveries go. Its token makes the URL a secret. */
  readonly url: string;
  /** The only chat whose events are delivered, if set. */
  readonly chatId?: string | null;
  /** ISO 8601. */
  readonly createdAt?: string;
}

/** Fields of `createWebhook`. */
export interface V0ApiWebhookInput {
  /** Name for people, not empty. */
  readonly name: string;
  /** https. The token in this URL is the only proof that a delivery is genuine. */
  readonly url: string;
  /** At least one. */
  readonly events: readonly V0EventType[];
  /** If omitted or null: all chats. */
  readonly chatId?: string | null;
}

/**
 * The hook calls of v0. All fields have the service's own names. For an invalid argument, a call rejects with a
 * `TypeError` and sends nothing. All other failures are an `ApiError`. The service has no test call.
 */
export interface V0Api {
  /** Lists all hooks, by id and name. */
  listWebhooks(options?: CallOptions): Promise<readonly V0ApiWebhookSummary[]>;
  /** Gets one hook. */
  getWebhook(id: string, options?: CallOptions): Promise<V0ApiWebhook>;
  /** Creates a hook. Not retried. */
  createWebhook(webhook: V0ApiWebhookInput, options?: CallOptions): Promise<V0ApiWebhook>;
  /** Changes the given fields. */
  updateWebhook(
    id: string,
    changes: Partial<Omit<V0ApiWebhookInput, 'chatId'>>,
    options?: CallOptions,
  ): Promise<V0ApiWebhook>;
  /** Deletes the hook. */
  deleteWebhook(id: string, options?: CallOptions): Promise<void>;
}

const changeableFields: FieldRules = {
  name: text,
  url: httpsUrl,
  events: listOf(isText, `event type (${v0EventTypes.join(', ')})`),
};
const webhookFields: FieldRules = { ...changeableFields, chatId: orNull(text) };

/**
 * A client of the hooks in v0's Platform API, `https://api.v0.dev/v2`. Source: the v0.app API reference and the
 * repository vercel/v0-sdk. Temporary failures are retried, up to four attempts in all, except in calls that create.
 * Throws a `TypeError` for invalid options.
 */
export function v0Api(options: ApiOptions): V0Api {
  const call = caller(
    {
      name: 'v0',
      baseUrl: 'https://api.v0.dev/v2',
      authorize: (apiKey) => ({ Authorization: `Bearer ${apiKey}` }),
    },
    options,
  );
  const pathOf = (method: string, id: string) => `/hooks/${segment(method, id)}`;

  return {
    async listWebhooks({ signal } = {}) {
      return call({ method: 'GET', path: '/hooks', signal }, (answer) =>
        listWith<V0ApiWebhookSummary>(answer, 'id', 'string'),
      );
    },
    async getWebhook(id, { signal } = {}) {
      return call({ method: 'GET', path: pathOf('getWebhook', id), signal }, webhookIn);
    },
    async createWebhook(webhook, { signal } = {}) {
      checkFields('createWebhook', webhook, webhookFields, ['name', 'url', 'events']);
      return call({ method: 'POST', path: '/hooks', body: { chatId: null, ...webhook }, signal }, webhookIn);
    },
    async updateWebhook(id, changes, { signal } = {}) {
      const path = pathOf('updateWebhook', id);
      checkChanges('updateWebhook', changes, changeableFields);
      return call({ method: 'PATCH', path, body: changes, signal }, webhookIn);
    },
    async deleteWebhook(id, { signal } = {}) {
      await call({ method: 'DELETE', path: pathOf('deleteWebhook', id), signal }, () => true);
    },
  };
}

function webhookIn(answer: unknown): V0ApiWebhook | undefined {
  return objectWith<V0ApiWebhook>(answer, 'id', 'string');
}
