import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import type { ChatRequest, ChatStandIn } from './chat-stand-in.js';

/** What a service makes of a request. */
export interface Verdict<Message> {
  readonly answer: readonly [status: number, body: unknown];
  /** The message that the service has taken. */
  readonly taken?: Message;
  /** Why it has taken none. */
  readonly refusal?: string;
}

/** A service on loopback, which can also judge a request that was not sent to it. */
export interface ServiceServer<Message> extends ChatStandIn<Message> {
  /** Why it would refuse the request, or undefined. */
  judge(request: ChatRequest): string | undefined;
}

/** A service on loopback, as its documentation says. `path` is the part of its address that users give. */
export async function standInServer<Message>(
  token: string,
  judge: (request: ChatRequest) => Verdict<Message>,
  path = '',
): Promise<ServiceServer<Message>> {
  const requests: ChatRequest[] = [];
  const messages: Message[] = [];
  const arrivals: ((request: ChatRequest) => void)[] = [];
  let refusal: string | undefined;
  const server = createServer(async (req, res) => {
    const { method, url, headers } = req;
    const request = { method, url, headers, body: await textOf(req) };
    requests.push(request);
    if (self.misbehave) {
      self.misbehave(res, req);
    } else {
      const verdict = judge(request);
      refusal = verdict.refusal;
      if (verdict.taken !== undefined) messages.push(verdict.taken);
      const [status, body] = verdict.answer;
      res.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
    }
    for (const arrive of arrivals.splice(0)) arrive(request);
  });
  // On a busy machine, a request could go out on a connection that the server is closing.
  server.keepAliveTimeout = 0;
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const self: ServiceServer<Message> = {
    judge: (request) => judge(request).refusal,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    token,
    requests,
    messages,
    get refusal() {
      return refusal;
    },
    misbehave: undefined,
    nextRequest: () => new Promise((resolve) => arrivals.push(resolve)),
    async close() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
  return self;
}

/** The JSON object of a request, or an empty one. */
export function jsonOf({ headers, body }: ChatRequest): Record<string, unknown> {
  if (!headers['content-type']?.startsWith('application/json')) return {};
  try {
    return Object(JSON.parse(body));
  } catch {
    return {};
  }
}

/** Half a surrogate pair is no text: strict JSON parsers refuse it. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && !/\p{Cs}/u.test(value);
}
