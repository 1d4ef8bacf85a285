import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';

interface ServiceRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface ServiceAnswer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ServiceStandIn {
  /** Its root, without a slash at the end. */
  readonly url: string;
  readonly requests: readonly ServiceRequest[];
  /** The next answers, in place of what the contract says. */
  readonly next: ServiceAnswer[];
  close(): Promise<void>;
}

/** A service on loopback that judges each request by its contract. */
async function serviceStandIn(contract: (request: ServiceRequest) => ServiceAnswer): Promise<ServiceStandIn> {
  const requests: ServiceRequest[] = [];
  const next: ServiceAnswer[] = [];
  const server = createServer(async (req, res) => {
    const { method = '', url = '', headers } = req;
    const request = { method, path: url, headers, body: await textOf(req) };
    requests.push(request);
    const { status, body = '', headers: own = {} } = next.shift() ?? contract(request);
    res.writeHead(status, { 'Content-Type': 'application/json', ...own }).end(body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    next,
    async close() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}

const jsonOf = (value: object) => JSON.stringify(value);

export const telegramToken = '110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw';

/**
 * `sendMessage` of the Telegram Bot API: text of 1 to 4,096 characters, which it trims. It has the groups of `moved`
 * under another id. Source: core.telegram.org/bots/api.
 */
export function telegramStandIn(moved: Readonly<Record<string, number>> = {}): Promise<ServiceStandIn> {
  const no = (error_code: number, description: string, parameters?: object) => ({
    status: error_code,
    body: jsonOf({ ok: false, error_code, description, ...(parameters && { parameters }) }),
  });
  return serviceStandIn(({ method, path, body, headers }) => {
    if (path !== `/bot${telegramToken}/sendMessage`) return no(404, 'Not Found');
    if (method !== 'POST' || !headers['content-type']?.startsWith('application/json')) return no(400, 'Bad Request');
    const { chat_id: chat, text, link_preview_options: previews } = JSON.parse(body);
    const to = moved[String(chat)];
    if (to !== undefined) {
      return no(400, 'Bad Request: group chat was upgraded to a supergroup chat', { migrate_to_chat_id: to });
    }
    if (typeof text !== 'string' || text.trim() === '') return no(400, 'Bad Request: message text is empty');
    if (text.trim().length > 4_096) return no(400, 'Bad Request: message is too long');
    if (previews?.is_disabled !== true) return no(400, 'Bad Request: the test wants no previews');
    return { status: 200, body: jsonOf({ ok: true, result: { message_id: 1, chat: { id: chat }, text } }) };
  });
}

/**
 * The root of an ntfy server. It takes JSON of 8,192 bytes at most, and makes an attachment of a message of more than
 * 4,096. Source: docs.ntfy.sh/publish.
 */
export function ntfyStandIn(topic: string, token?: string): Promise<ServiceStandIn> {
  const no = (http: number, code: number, error: string) => ({ status: http, body: jsonOf({ code, http, error }) });
  return serviceStandIn(({ method, path, body, headers }) => {
    if (method !== 'POST' || path !== '/') return no(404, 40_401, 'page not found');
    if (token !== undefined && headers.authorization !== `Bearer ${token}`) return no(403, 40_301, 'forbidden');
    if (Buffer.byteLength(body) > 8_192) return no(413, 41_303, 'JSON body too large');
    const { topic: to, title, message, priority, tags, click } = JSON.parse(body);
    if (to !== topic) return no(400, 40_009, 'invalid request: topic invalid');
    const isPriority = priority === undefined || (Number.isInteger(priority) && priority >= 1 && priority <= 5);
    const isTags = tags === undefined || (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string'));
    if (!isPriority || !isTags || (title !== undefined && typeof title !== 'string')) {
      return no(400, 40_024, 'invalid request: request body must be message JSON');
    }
    if (click !== undefined && !URL.canParse(click)) return no(400, 40_024, 'invalid request: click URL');
    const attachment = Buffer.byteLength(message ?? '') > 4_096 ? { name: 'attachment.txt' } : undefined;
    return {
      status: 200,
      body: jsonOf({ id: 'x', event: 'message', topic, message: message || 'triggered', attachment }),
    };
  });
}

export const pushoverToken = 'azGDORePK8gMaC0QOYAMyEEuzJnyUi';
export const pushoverUser = 'uQiRzpo4DXghDmr9QzzfQu27cmVRsG';

/** `messages.json` of Pushover: a form, with its limits. Source: pushover.net/api. */
export function pushoverStandIn(): Promise<ServiceStandIn> {
  const no = (...errors: string[]) => ({ status: 400, body: jsonOf({ status: 0, request: 'r', errors }) });
  return serviceStandIn(({ method, path, body, headers }) => {
    if (method !== 'POST' || path !== '/1/messages.json') return { status: 404 };
    if (!headers['content-type']?.startsWith('application/x-www-form-urlencoded')) return no('message cannot be blank');
    const form = new URLSearchParams(body);
    const lengthOf = (name: string) => [...(form.get(name) ?? '')].length;
    if (form.get('token') !== pushoverToken) return no('application token is invalid');
    if (form.get('user') !== pushoverUser)
      return no('user identifier is not a valid user, group, or subscribed user key');
    if ((form.get('message') ?? '').trim() === '') return no('message cannot be blank');
    if (lengthOf('message') > 1_024 || lengthOf('title') > 250 || lengthOf('url') > 512) return no('too long');
    const [retry, expire] = [Number(form.get('retry')), Number(form.get('expire'))];
    if (form.get('priority') === '2' && (!(retry >= 30) || !(expire >= 1 && expire <= 10_800)))
      return no('retry and expire');
    return { status: 200, body: jsonOf({ status: 1, request: 'r' }), headers: { 'X-Limit-App-Remaining': '9999' } };
  });
}
