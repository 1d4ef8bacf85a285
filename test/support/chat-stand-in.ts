import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';

export interface ChatRequest {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ChatStandIn<Message> {
  /** The incoming webhook's URL. */
  readonly url: string;
  /** The part of it that is secret. */
  readonly token: string;
  readonly requests: readonly ChatRequest[];
  /** What was taken, as the contract wants it. */
  readonly messages: readonly Message[];
  /** Why the last message was refused. */
  readonly refusal: string | undefined;
  /** Answers in place of the contract, until it is set to undefined. */
  misbehave: ((res: ServerResponse, req: IncomingMessage) => unknown) | undefined;
  /** Resolves when the next request has arrived whole. */
  nextRequest(): Promise<ChatRequest>;
  close(): Promise<void>;
}

interface PlainText {
  readonly type: 'plain_text';
  readonly text: string;
  readonly emoji?: boolean;
}

export interface SlackStandInMessage {
  readonly text: string;
  readonly blocks: readonly {
    readonly type: string;
    readonly text?: PlainText | { readonly type: 'mrkdwn'; readonly text: string };
    readonly elements?: readonly PlainText[];
  }[];
}

export interface GoogleChatStandInMessage {
  readonly text: string;
}

/** What the contract says of a body: why it is refused, or nothing. */
type Contract = (message: Record<string, unknown>, body: string) => string | undefined;

/** A Slack incoming webhook on loopback: `{text, blocks?}` within Slack's limits, 200 `ok`. */
export function slackStandIn(): Promise<ChatStandIn<SlackStandInMessage>> {
  const token = 'XyZsecretSLACKtoken24chr';
  return standIn(token, `/services/T0001/B0001/${token}`, slackRefusal, 'ok', (reason) => reason);
}

/** A Google Chat incoming webhook on loopback: `{text}` of 32,000 bytes at most. */
export function googleChatStandIn(): Promise<ChatStandIn<GoogleChatStandInMessage>> {
  const token = 'secretGoogleChatToken-_42';
  const path = `/v1/spaces/AAAA/messages?key=secretGoogleKey&token=${token}`;
  return standIn(token, path, googleChatRefusal, '{"name": "spaces/AAAA/messages/1"}', (reason) =>
    JSON.stringify({ error: { code: 400, message: reason, status: 'INVALID_ARGUMENT' } }),
  );
}

const slackRefusal: Contract = ({ text, blocks = [] }) => {
  if (!isText(text, 40_000)) return 'no_text';
  if (!Array.isArray(blocks) || blocks.length > 50) return 'invalid_blocks';
  return blocks.every(isSlackBlock) ? undefined : 'invalid_blocks';
};

function isSlackBlock({ type, text, elements }: Record<string, unknown>): boolean {
  if (type === 'header') return isSlackText(text, 150) && (text as PlainText).type === 'plain_text';
  if (type === 'section') return isSlackText(text, 3_000);
  if (type !== 'context' || !Array.isArray(elements)) return false;
  return elements.length >= 1 && elements.length <= 10 && elements.every((element) => isSlackText(element, 3_000));
}

function isSlackText(object: unknown, max: number): boolean {
  const { type, text } = Object(object) as { type?: unknown; text?: unknown };
  return (type === 'plain_text' || type === 'mrkdwn') && isText(text, max);
}

const googleChatRefusal: Contract = ({ text, cardsV2 }, body) => {
  if (Buffer.byteLength(body) > 32_000) return 'Message is too large';
  return isText(text, Number.POSITIVE_INFINITY) || Array.isArray(cardsV2) ? undefined : 'Message cannot be empty';
};

/** Half a surrogate pair is no text: strict JSON parsers refuse it. */
function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= max && !/\p{Cs}/u.test(value);
}

async function standIn<Message>(
  token: string,
  path: string,
  contract: Contract,
  ok: string,
  refusalBody: (reason: string) => string,
): Promise<ChatStandIn<Message>> {
  const requests: ChatRequest[] = [];
  const messages: Message[] = [];
  const arrivals: ((request: ChatRequest) => void)[] = [];
  let refusal: string | undefined;

  const judge = ({ method, url, headers, body }: ChatRequest): [status: number, body: string] => {
    if (method !== 'POST' || url !== path) return [404, 'no_service'];
    let message: unknown;
    try {
      message = JSON.parse(body);
    } catch {}
    const isJson = /^application\/json\b/.test(headers['content-type'] ?? '');
    refusal =
      isJson && typeof message === 'object' && message !== null
        ? contract(message as Record<string, unknown>, body)
        : 'invalid_payload';
    if (refusal !== undefined) return [400, refusalBody(refusal)];
    messages.push(message as Message);
    return [200, ok];
  };

  const server = createServer(async (req, res) => {
    const { method, url, headers } = req;
    const request = { method, url, headers, body: await textOf(req) };
    requests.push(request);
    if (self.misbehave) {
      self.misbehave(res, req);
    } else {
      const [status, body] = judge(request);
      res.writeHead(status).end(body);
    }
    for (const arrive of arrivals.splice(0)) arrive(request);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;

  const self: ChatStandIn<Message> = {
    url: `http://127.0.0.1:${port}${path}`,
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
