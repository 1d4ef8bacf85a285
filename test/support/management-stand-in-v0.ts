import { randomBytes } from 'node:crypto';
import {
  type Answer,
  fieldViolation,
  isListOf,
  isString,
  type ManagementOptions,
  type ManagementStandIn,
  startManagement,
  urlViolation,
} from './management-stand-in-server.js';

interface V0StandInHook {
  readonly id: string;
  readonly createdAt: string;
  name: string;
  url: string;
  events: string[];
  readonly chatId: string | null;
}

const events = ['chat.created', 'chat.updated', 'chat.deleted'].concat(
  ['created', 'updated', 'deleted', 'finished'].map((what) => `message.${what}`),
);

const error = (status: number, message: string): Answer => ({ status, body: { message } });
const ok = (body: unknown): Answer => ({ status: 200, body });

/** The hook calls of v0, on loopback: as the openapi file 2.0.0 in vercel/v0-sdk has them. */
export function startV0Management(options: ManagementOptions = {}): Promise<ManagementStandIn<V0StandInHook>> {
  const { apiKey = `v1:team_${randomBytes(12).toString('hex')}:${randomBytes(16).toString('hex')}` } = options;
  const webhooks: V0StandInHook[] = [];
  const badRequest = (reason: string) => error(400, reason);

  const changeable = {
    name: isString,
    url: (url: unknown) => urlViolation(url, Number.POSITIVE_INFINITY, options),
    events: isListOf((event) => events.includes(event as string)),
  };
  const rules = { ...changeable, chatId: (id: unknown) => id === null || isString(id) };

  const create = (body: unknown): Answer => {
    const violation = fieldViolation(body, rules, ['name', 'url', 'events', 'chatId']);
    if (violation) return badRequest(violation);
    const hook: V0StandInHook = {
      id: `hook_${randomBytes(8).toString('hex')}`,
      createdAt: new Date().toISOString(),
      chatId: null,
      ...(body as { name: string; url: string; events: string[] }),
    };
    webhooks.push(hook);
    return ok(hook);
  };

  return startManagement(
    {
      basePath: '/v2',
      apiKey,
      webhooks,
      isAuthorized: ({ authorization }, key) => authorization === `Bearer ${key}`,
      unauthorized: () => error(401, 'Unauthorized'),
      badRequest,
      tooManyRequests: () => error(429, 'Too many requests'),
      answer(method, path, body) {
        if (path === '/hooks' && method === 'POST') return create(body);
        if (path === '/hooks' && method === 'GET') return ok(webhooks.map(({ id, name }) => ({ id, name })));
        const [, id] = /^\/hooks\/([^/]+)$/.exec(path) ?? [];
        if (id === undefined) return undefined;
        const hook = webhooks.find((each) => each.id === decodeURIComponent(id));
        if (!hook) return error(404, 'Hook not found');
        if (method === 'GET') return ok(hook);
        if (method === 'DELETE') {
          webhooks.splice(webhooks.indexOf(hook), 1);
          return ok({ id: hook.id, deleted: true });
        }
        if (method !== 'PATCH') return undefined;
        const violation = fieldViolation(body, changeable, []);
        return violation ? badRequest(violation) : ok(Object.assign(hook, body));
      },
    },
    options,
  );
}
