import { randomBytes, randomUUID } from 'node:crypto';
import { sign } from '../../src/receive/signature.js';
import {
  type Answer,
  deliver,
  fieldViolation,
  isString,
  type ManagementOptions,
  type ManagementStandIn,
  startManagement,
  urlViolation,
} from './management-stand-in-server.js';

interface ShodaiStandInWebhook {
  readonly id: string;
  url: string;
  status: 'active' | 'disabled';
  eventTypes: string[];
  filters?: Record<string, string[]>;
  readonly createdAt: string;
  updatedAt: string;
  readonly secret: string;
  readonly principalId: string;
  readonly createdByApiKeyId: string;
}

const filterNames = ['agreementIds', 'templateIds', 'inputIds', 'fromStates', 'toStates', 'ruleIds'];
const eventTypes = ['agreement.transitioned', 'agreement.notification.triggered'];

const error = (status: number, code: string, message: string): Answer => ({
  status,
  body: { error: { code, message, requestId: randomUUID() } },
});
const ok = (data: object, status = 200): Answer => ({
  status,
  body: { data, meta: { apiVersion: '2026-06-01', requestId: randomUUID() } },
});

/** Shodai's webhook calls, on loopback: as docs.shodai.network and CNSLabs/agreements-api-sdk have them. */
export function startShodaiManagement(
  options: ManagementOptions = {},
): Promise<ManagementStandIn<ShodaiStandInWebhook>> {
  const { apiKey = `cns_pk_${randomBytes(24).toString('hex')}` } = options;
  const webhooks: ShodaiStandInWebhook[] = [];
  const badRequest = (reason: string) => error(400, 'invalid_request', reason);

  const rules = {
    url: (url: unknown) => urlViolation(url, Number.POSITIVE_INFINITY, options),
    eventTypes: (types: unknown) =>
      types === null || (Array.isArray(types) && types.every((type) => eventTypes.includes(type))),
    filters: (filters: unknown) =>
      typeof filters === 'object' &&
      filters !== null &&
      Object.entries(filters).every(
        ([name, list]) => filterNames.includes(name) && Array.isArray(list) && list.every(isString),
      ),
  };
  const status = (value: unknown) => value === 'active' || value === 'disabled';

  const create = (body: unknown): Answer => {
    const violation = fieldViolation(body, rules, ['url']);
    if (violation) return badRequest(violation);
    const now = new Date().toISOString();
    const webhook: ShodaiStandInWebhook = {
      id: `wh_${randomUUID()}`,
      status: 'active',
      ...(body as { url: string }),
      // Null and an empty list also mean the default.
      eventTypes: (body as ShodaiStandInWebhook).eventTypes?.length
        ? (body as ShodaiStandInWebhook).eventTypes
        : ['agreement.transitioned'],
      principalId: 'prn_1',
      createdByApiKeyId: 'key_1',
      createdAt: now,
      updatedAt: now,
      secret: `whsec_${randomBytes(32).toString('hex')}`,
    };
    webhooks.push(webhook);
    return ok(webhook, 201);
  };

  const change = (webhook: ShodaiStandInWebhook, changes: object): Answer =>
    ok(withoutSecret(Object.assign(webhook, changes, { updatedAt: new Date().toISOString() })));

  const test = async ({ url, secret }: ShodaiStandInWebhook): Promise<Answer> => {
    const id = `evt_${randomUUID()}`;
    const createdAt = new Date().toISOString();
    const body = JSON.stringify({ id, type: 'webhook.test', apiVersion: '2026-06-01', createdAt, data: {} });
    const timestamp = Math.floor(Date.now() / 1000);
    const headers = {
      'Content-Type': 'application/json',
      'X-Shodai-Webhook-Id': id,
      'X-Shodai-Webhook-Timestamp': String(timestamp),
      'X-Shodai-Webhook-Signature': sign(body, secret, timestamp),
    };
    const responseStatus = await deliver(url, { body, headers }, options);
    const isTaken = responseStatus >= 200 && responseStatus < 300;
    return ok(
      {
        ok: isTaken,
        deliveryId: `wd_${randomUUID()}`,
        status: isTaken ? 'succeeded' : 'failed',
        ...(responseStatus > 0 && { responseStatus }),
      },
      201,
    );
  };

  return startManagement(
    {
      basePath: '',
      apiKey,
      webhooks,
      isAuthorized: (headers, key) => headers['x-api-key'] === key,
      unauthorized: () => error(401, 'unauthorized', 'Invalid API key'),
      badRequest,
      tooManyRequests: () => error(429, 'rate_limited', 'Too many requests'),
      answer(method, path, body) {
        if (path === '/v0/webhooks' && method === 'POST') return create(body);
        if (path === '/v0/webhooks' && method === 'GET') {
          const pageInfo = { hasNextPage: false, hasPreviousPage: false };
          return { status: 200, body: { data: webhooks.map(withoutSecret), pageInfo } };
        }
        const [, id, action = ''] = /^\/v0\/webhooks\/([^/]+)(\/test)?$/.exec(path) ?? [];
        if (id === undefined) return undefined;
        const webhook = webhooks.find((each) => each.id === decodeURIComponent(id));
        if (!webhook) return error(404, 'not_found', 'Webhook not found');
        switch (`${method} ${action}`) {
          case 'GET ':
            return ok(withoutSecret(webhook));
          case 'PATCH ': {
            const violation = fieldViolation(body, { ...rules, status }, []);
            return violation ? badRequest(violation) : change(webhook, body as object);
          }
          case 'DELETE ':
            return change(webhook, { status: 'disabled' });
          case 'POST /test':
            return test(webhook);
          default:
            return undefined;
        }
      },
    },
    options,
  );
}

function withoutSecret({ secret, ...webhook }: ShodaiStandInWebhook) {
  return webhook;
}
