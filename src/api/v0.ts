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

/** What the list tells of a hook. */
export interface V0ApiWebhookSummary {
  /** Names it in calls. */
  readonly id: string;
  /** For people. */
  readonly name: string;
}

/** A hook as v0 keeps it. It has no secret: deliveries are unsigned. */
export interface V0ApiWebhook extends V0ApiWebhookSummary {
  /** What is delivered. */
  readonly events: readonly V0EventType[];
  /** Where deliveries go, with its token: a secret. */
  readonly url: string;
  /** The chat that it is limited to. */
  readonly chatId?: string | null;
  /** ISO 8601. */
  readonly createdAt?: string;
}

/** What `createWebhook` takes. */
export interface V0ApiWebhookInput {
  /** For people; not empty. */
  readonly name: string;
  /** https: what makes a delivery genuine is the token in this URL. */
  readonly url: string;
  /** At least one. */
  readonly events: readonly V0EventType[];
  /** Left out or null: all chats. */
  readonly chatId?: string | null;
}

/**
 * The hook calls of v0. Fields are named as the service names them, in and out. Each call rejects with a `TypeError`
 * for what cannot be meant, before anything is sent, and otherwise with an `ApiError`. The service has no test call.
 */
export interface V0Api {
  /** All hooks, by id and name. */
  listWebhooks(options?: CallOptions): Promise<readonly V0ApiWebhookSummary[]>;
  /** One hook. */
  getWebhook(id: string, options?: CallOptions): Promise<V0ApiWebhook>;
  /** Makes a hook. Not repeated when it fails. */
  createWebhook(webhook: V0ApiWebhookInput, options?: CallOptions): Promise<V0ApiWebhook>;
  /** Sets the fields that are given. */
  updateWebhook(
    id: string,
    changes: Partial<Omit<V0ApiWebhookInput, 'chatId'>>,
    options?: CallOptions,
  ): Promise<V0ApiWebhook>;
  /** Deletes it. */
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
 * repository vercel/v0-sdk. Attempts that fail for a passing reason are repeated up to four times, except those that
 * create. Throws a `TypeError` for options that nobody can have meant.
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
