import { randomBytes } from 'node:crypto';
import { type VastTypeInfo, vastTypes } from '../../src/providers/vast.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import {
  type Answer,
  deliver,
  fieldViolation,
  isListOf,
  type ManagementOptions,
  type ManagementStandIn,
  startManagement,
  urlViolation,
} from './management-stand-in-server.js';

export interface VastManagementOptions extends ManagementOptions {
  /** Keys in the catalogue besides those that the package knows. */
  readonly newTypes?: readonly string[];
  /** Takes away the scope to read or to write. */
  readonly missingScope?: 'user_read' | 'user_write';
}

interface VastStandInWebhook {
  readonly id: number;
  readonly user_id: number;
  name: string | null;
  webhook_url: string;
  event_types: string[];
  readonly created_at: number;
  updated_at: number;
  webhook_secret: string;
}

type Preferences = Record<string, Record<string, Record<string, boolean>>>;

interface VastManagementStandIn extends ManagementStandIn<VastStandInWebhook> {
  /** Whose key it is. */
  readonly userId: number;
  /** The account's notification preferences. */
  readonly preferences: Preferences;
}

const userId = 123;
const maxWebhooks = 4;
const securityCritical = ['email_verification', 'password_reset', 'email_change'];

const error = (status: number, word: string, msg: string): Answer => ({
  status,
  body: { success: false, error: word, msg },
});
const notFound: Answer = { status: 404, body: { success: false, msg: 'Webhook not found' } };
const ok = (fields: object = {}): Answer => ({ status: 200, body: { success: true, ...fields } });

/** Vast.ai's notification calls, on loopback: as the notifications OpenAPI file in vast-ai/docs has them. */
export async function startVastManagement(options: VastManagementOptions = {}): Promise<VastManagementStandIn> {
  const { apiKey = randomBytes(32).toString('hex'), newTypes = [], missingScope } = options;
  const webhooks: VastStandInWebhook[] = [];
  const types = catalogue(newTypes);
  let preferences: Preferences = {};
  let refusedForRate = 0;

  const rules = {
    name: (name: unknown) =>
      name === null || (typeof name === 'string' && Array.from(name).length <= 120 && !/\p{Cc}/u.test(name)),
    webhook_url: (url: unknown) => urlViolation(url, 2_048, options),
    event_types: isListOf((key) => types.some((type) => type.key === key)),
  };
  const badRequest = (reason: string) => error(400, 'invalid_args', reason);

  /** Subscribing switches the webhook channel on. */
  const enable = (keys: readonly string[]) =>
    keys.filter((key) => {
      const [context = '', slug = ''] = key.split(':');
      preferences[context] ??= {};
      const before = preferences[context][slug];
      preferences[context][slug] = { ...before, webhooks: true };
      return before?.webhooks !== true;
    });

  const create = (body: unknown): Answer => {
    const violation = fieldViolation(body, rules, ['webhook_url', 'event_types']);
    if (violation) return badRequest(violation);
    if (webhooks.length >= maxWebhooks) return badRequest(`Maximum of ${maxWebhooks} webhooks per user`);
    const { name = null, webhook_url, event_types } = body as VastStandInWebhook;
    const now = Date.now() / 1000;
    const webhook: VastStandInWebhook = {
      id: (webhooks.at(-1)?.id ?? 41) + 1,
      user_id: userId,
      name,
      webhook_url,
      event_types,
      created_at: now,
      updated_at: now,
      webhook_secret: newSecret(),
    };
    webhooks.push(webhook);
    return ok({ webhook, enabled_notification_preferences: enable(event_types) });
  };

  const update = (webhook: VastStandInWebhook, body: unknown): Answer => {
    const violation = fieldViolation(body, rules, []);
    if (violation) return badRequest(violation);
    Object.assign(webhook, body, { updated_at: Date.now() / 1000 });
    const { event_types = [] } = body as Partial<VastStandInWebhook>;
    return ok({ webhook: withoutSecret(webhook), enabled_notification_preferences: enable(event_types) });
  };

  const test = async ({ webhook_url, webhook_secret }: VastStandInWebhook): Promise<Answer> => {
    const event = { ...sampleEvent('webhook_test'), user_id: userId };
    const status = await deliver(webhook_url, signedDelivery(event, webhook_secret), options);
    if (status < 200 || status > 299) return badRequest('Webhook URL is not deliverable');
    return ok({ msg: 'Test webhook delivered' });
  };

  const onWebhook = (method: string, action: string, webhook: VastStandInWebhook, body: unknown) => {
    switch (`${method} ${action}`) {
      case 'PUT ':
        return update(webhook, body);
      case 'DELETE ':
        webhooks.splice(webhooks.indexOf(webhook), 1);
        return ok();
      case 'POST rotate-secret/':
        webhook.webhook_secret = newSecret();
        return ok({ webhook });
      case 'POST test/':
        return test(webhook);
      default:
        return undefined;
    }
  };

  const onPreferences = (method: string, user: string, body: unknown) => {
    if (user !== String(userId)) return error(401, 'auth_error', 'Not your preferences');
    if (method === 'PUT') {
      const violation = fieldViolation(body, { notification_preferences: arePreferences }, [
        'notification_preferences',
      ]);
      if (violation) return badRequest(violation);
      preferences = (body as { notification_preferences: Preferences }).notification_preferences;
    }
    return method === 'PUT' || method === 'GET' ? ok({ notification_preferences: preferences }) : undefined;
  };

  const standIn = await startManagement(
    {
      basePath: '/api/v0',
      apiKey,
      webhooks,
      isAuthorized: ({ authorization }, key) => authorization === `Bearer ${key}`,
      unauthorized: () => error(401, 'auth_error', 'Invalid user key'),
      badRequest,
      tooManyRequests: () =>
        refusedForRate++ % 2 === 0
          ? { status: 429, body: 'API requests too frequent endpoint threshold=2.0' }
          : { status: 429, body: { detail: 'API requests too frequent' } },
      answer(method, path, body) {
        if (missingScope === (method === 'GET' ? 'user_read' : 'user_write')) {
          return error(401, 'auth_error', `This action requires the permission group ${missingScope}`);
        }
        if (path === '/notification-types/' && method === 'GET') return ok({ notification_types: types });
        if (path === '/webhooks/' && method === 'GET') return ok({ webhooks: webhooks.map(withoutSecret) });
        if (path === '/webhooks/' && method === 'POST') return create(body);
        const [, user] = /^\/users\/(\d+)\/notification-prefs\/$/.exec(path) ?? [];
        if (user !== undefined) return onPreferences(method, user, body);
        const [, id, action = ''] = /^\/webhooks\/(\d+)\/(rotate-secret\/|test\/)?$/.exec(path) ?? [];
        if (id === undefined) return undefined;
        const webhook = webhooks.find((each) => each.id === Number(id));
        return webhook ? onWebhook(method, action, webhook, body) : notFound;
      },
    },
    options,
  );
  return Object.defineProperties(standIn, {
    userId: { value: userId },
    preferences: { get: () => preferences },
  }) as VastManagementStandIn;
}

const newSecret = () => randomBytes(32).toString('base64url');

function withoutSecret({ webhook_secret, ...webhook }: VastStandInWebhook) {
  return webhook;
}

function catalogue(newTypes: readonly string[]) {
  const known = Object.entries<VastTypeInfo>(vastTypes).flatMap(([slug, { contexts, topic }]) =>
    contexts.map((context) => ({ key: `${context}:${slug}`, topic: topic as string })),
  );
  return [...known, ...newTypes.map((key) => ({ key, topic: 'new' }))].map(({ key, topic }) => {
    const [context, slug = ''] = key.split(':');
    return {
      key,
      slug,
      context,
      topic,
      category: topic,
      display_name: `${slug.replaceAll('_', ' ')} notifications`,
      default_preferences: { email: true, webhooks: false },
      mandatory_email: securityCritical.includes(slug),
    };
  });
}

function arePreferences(value: unknown): boolean {
  const isRecordOf = (isValid: (value: unknown) => boolean) => (record: unknown) =>
    typeof record === 'object' && record !== null && !Array.isArray(record) && Object.values(record).every(isValid);
  return isRecordOf(isRecordOf(isRecordOf((isOn) => typeof isOn === 'boolean')))(value);
}
