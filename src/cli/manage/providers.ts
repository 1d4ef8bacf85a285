import type { ShodaiApiWebhook, V0ApiWebhook, VastApiEnabledPreferences, VastApiWebhook } from 'vast-webhook/api';
import { ApiError, shodaiApi, shodaiEventTypes, v0Api, v0EventTypes, vastApi } from 'vast-webhook/api';
import { CliError, UsageError } from '../shared/errors.js';
import type { Service } from './services.js';
import { vastCatalogue } from './vast-catalogue.js';
import type { Manager, Webhook, WebhookType } from './webhook.js';

interface Connection {
  readonly apiKey: string;
  readonly baseUrl?: string;
  readonly fetch?: typeof fetch;
}

/** What comes after we gave up is a secret that nobody has. */
const secretTimeoutMs = 30_000;

type Connect = (connection: Connection, signal: AbortSignal) => Manager;

export const managers: Readonly<Record<Service, Connect>> = { vast, shodai, v0 };

function vast(connection: Connection, signal: AbortSignal): Manager {
  const api = vastApi(connection);
  const secretGiver = vastApi({ ...connection, timeoutMs: secretTimeoutMs });
  const options = { signal };
  return {
    async types() {
      try {
        const types = await api.listTypes(options);
        return types.map(({ key, display_name, topic, category }) => ({
          key,
          title: String(display_name ?? ''),
          topic: String(topic ?? category ?? ''),
        }));
      } catch (error) {
        // A key without the scope to list them may well have the one to create.
        if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return vastCatalogue();
        throw error;
      }
    },
    async list() {
      return (await api.listWebhooks(options)).map(ofVast);
    },
    async create({ name, url, types = [] }) {
      signal.throwIfAborted();
      // Not ended by an interruption: the service may have acted, and its answer has the only copy of the secret.
      const { webhook_secret, ...webhook } = await secretGiver.createWebhook({
        ...(name !== undefined && { name }),
        webhook_url: url,
        event_types: types,
      });
      return { webhook: ofVast(webhook), secret: webhook_secret };
    },
    async update(id, { name, url, types }) {
      const changes = {
        ...(name !== undefined && { name }),
        ...(url !== undefined && { webhook_url: url }),
        ...(types !== undefined && { event_types: types }),
      };
      return ofVast(await api.updateWebhook(Number(id), changes, options));
    },
    async delete(id) {
      await api.deleteWebhook(Number(id), options);
    },
    async rotateSecret(id) {
      signal.throwIfAborted();
      // As above.
      return (await secretGiver.rotateSecret(Number(id))).webhook_secret;
    },
    async test(id) {
      try {
        return (await api.testWebhook(Number(id), options)).msg;
      } catch (error) {
        if (error instanceof ApiError && error.status === 400 && /not deliverable/i.test(error.message)) {
          // Measured: so it answers also when the endpoint refuses with 401.
          throw new CliError(
            'Vast.ai says "Webhook URL is not deliverable", which it also says when the URL is right and the endpoint refuses the signature (401): the endpoint most likely has another secret, so compare it, or have "vast-webhook doctor" find out',
          );
        }
        throw error;
      }
    },
    async mutedTypes({ types, userId }) {
      if (userId === undefined) return [];
      const preferences = await api.preferences(userId, options);
      return types.filter((key) => {
        const [context = '', slug = ''] = key.split(':', 2);
        return preferences[context]?.[slug]?.webhooks === false;
      });
    },
  };
}

function ofVast(webhook: VastApiWebhook & Partial<VastApiEnabledPreferences>): Webhook {
  const { id, name, webhook_url, event_types, created_at, updated_at, user_id } = webhook;
  const { enabled_notification_preferences: enabled = [] } = webhook;
  const isoOf = (seconds: number) => (Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString() : undefined);
  return {
    id: String(id),
    name: name || undefined,
    url: String(webhook_url ?? ''),
    types: Array.isArray(event_types) ? event_types : [],
    isActive: true,
    createdAt: isoOf(created_at),
    updatedAt: isoOf(updated_at),
    ...(enabled.length > 0 && { enabledTypes: enabled }),
    userId: user_id,
  };
}

function shodai(connection: Connection, signal: AbortSignal): Manager {
  const api = shodaiApi(connection);
  const secretGiver = shodaiApi({ ...connection, timeoutMs: secretTimeoutMs });
  const options = { signal };
  return {
    async types() {
      return shodaiEventTypes.map(ofKey);
    },
    async list() {
      return (await api.listWebhooks(options)).map(ofShodai);
    },
    async create({ name, url, types, filters }) {
      refuseName(name);
      signal.throwIfAborted();
      // As above.
      const { secret, ...webhook } = await secretGiver.createWebhook({
        url,
        ...(types && { eventTypes: types }),
        ...(filters && { filters }),
      });
      return { webhook: ofShodai(webhook), secret };
    },
    async update(id, { name, url, types, filters }) {
      refuseName(name);
      const changes = {
        ...(url !== undefined && { url }),
        ...(types && { eventTypes: types }),
        ...(filters && { filters }),
      };
      return ofShodai(await api.updateWebhook(id, changes, options));
    },
    async delete(id) {
      await api.deleteWebhook(id, options);
    },
    rotateSecret: unsupported,
    async test(id) {
      const { ok, responseStatus, error, status } = await api.testWebhook(id, options);
      if (ok) return 'delivered';
      const answered = responseStatus === undefined ? '' : `: it answered ${responseStatus}`;
      throw new CliError(
        `the endpoint did not take the test event${answered} (${error ?? status ?? 'no reason given'}); after a 401 it has another secret`,
      );
    },
    async mutedTypes() {
      return [];
    },
  };
}

function ofShodai({ id, url, eventTypes, status, createdAt, updatedAt, filters }: ShodaiApiWebhook): Webhook {
  return { id, url, types: eventTypes ?? [], isActive: status !== 'disabled', createdAt, updatedAt, filters };
}

function refuseName(name: string | undefined): void {
  if (name !== undefined)
    throw new UsageError("--name cannot be used with --provider shodai: Shodai's webhooks have none");
}

function v0(connection: Connection, signal: AbortSignal): Manager {
  const api = v0Api(connection);
  const options = { signal };
  return {
    async types() {
      return v0EventTypes.map(ofKey);
    },
    async list() {
      const webhooks: Webhook[] = [];
      // The list has names only.
      for (const { id } of await api.listWebhooks(options)) webhooks.push(ofV0(await api.getWebhook(id, options)));
      return webhooks;
    },
    async create({ name, url, types = [], chatId }) {
      if (name === undefined) throw new UsageError('--name is needed with --provider v0');
      return { webhook: ofV0(await api.createWebhook({ name, url, events: types, chatId: chatId ?? null }, options)) };
    },
    async update(id, { name, url, types }) {
      const changes = {
        ...(name !== undefined && { name }),
        ...(url !== undefined && { url }),
        ...(types && { events: types }),
      };
      return ofV0(await api.updateWebhook(id, changes, options));
    },
    async delete(id) {
      await api.deleteWebhook(id, options);
    },
    rotateSecret: unsupported,
    test: unsupported,
    async mutedTypes() {
      return [];
    },
  };
}

function ofV0({ id, name, url, events, createdAt, chatId }: V0ApiWebhook): Webhook {
  const limited = chatId ? { chatId } : {};
  return { id, name, url: String(url ?? ''), types: events ?? [], isActive: true, createdAt, ...limited };
}

function ofKey(key: string): WebhookType {
  return { key, title: '', topic: key.slice(0, key.lastIndexOf('.')) };
}

async function unsupported(): Promise<never> {
  throw new CliError('the service has no such call');
}
