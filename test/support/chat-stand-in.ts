import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { standInServer, type Verdict } from './stand-in-server.js';

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
  /** The accepted messages, which satisfy the contract. */
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

/** Strings only. */
export type SlackWorkflowStandInMessage = Readonly<Record<string, string>>;

export interface DiscordStandInMessage {
  readonly content?: string;
  readonly embeds?: readonly {
    readonly title: string;
    readonly url: string;
    readonly description?: string;
    readonly footer: { readonly text: string };
  }[];
  readonly allowed_mentions: object;
}

interface TextRun {
  readonly type: string;
  readonly text: string;
}

export interface TeamsStandInMessage {
  readonly type: string;
  readonly attachments: readonly {
    readonly contentType: string;
    readonly content: {
      readonly body: readonly {
        readonly type: string;
        readonly text?: string;
        readonly inlines?: readonly TextRun[];
      }[];
      readonly actions?: readonly object[];
    };
  }[];
}

export interface PagerDutyStandInMessage {
  readonly routing_key: string;
  readonly event_action: string;
  readonly dedup_key: string;
  readonly payload?: {
    readonly summary: string;
    readonly source: string;
    readonly severity: string;
    readonly timestamp: string;
    readonly class: string;
    readonly custom_details: { readonly message: string; readonly event_id: string };
  };
  readonly links?: readonly { readonly href: string; readonly text: string }[];
}

/** The reason why the contract refuses a body, or undefined. */
type Contract = (message: Record<string, unknown>, body: string, headers: IncomingHttpHeaders) => string | undefined;

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

/** A trigger of a Slack workflow on loopback: a flat object of strings; 200 whether it takes them or not. */
export function slackWorkflowStandIn(): Promise<ChatStandIn<SlackWorkflowStandInMessage>> {
  const token = 'secretWORKFLOWtoken24chr';
  const refusal: Contract = (message) =>
    Object.values(message).every((value) => isText(value, 3_000)) ? undefined : 'invalid_input_format';
  const refused = (error: string) => JSON.stringify({ ok: false, error });
  return standIn(token, `/triggers/T0001/123/${token}`, refusal, '{"ok":true}', refused, { refused: 200 });
}

/** A Discord webhook on loopback, which is asked to wait. */
export function discordStandIn(): Promise<ChatStandIn<DiscordStandInMessage>> {
  const token = 'secretDISCORDtoken-_68chars';
  const path = `/api/webhooks/1234/${token}?wait=true`;
  return standIn(token, path, discordRefusal, '{"id":"1"}', (message) => JSON.stringify({ message, code: 50_035 }));
}

/** A Teams workflow on loopback: one adaptive card, 28 KB at most, 202. */
export function teamsStandIn(): Promise<ChatStandIn<TeamsStandInMessage>> {
  const token = 'secretTEAMSsignature-_43';
  const path = `/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig=${token}`;
  return standIn(token, path, teamsRefusal, '', (reason) => JSON.stringify({ error: { code: reason } }), {
    taken: 202,
  });
}

/** Events API v2 of PagerDuty on loopback. Its secret is the routing key, `token`. */
export function pagerDutyStandIn(): Promise<ChatStandIn<PagerDutyStandInMessage>> {
  const token = 'e93facc04764012d7bfb002500d5d1a6';
  const refused = (reason: string) => JSON.stringify({ status: 'invalid event', message: reason, errors: [reason] });
  const refusal: Contract = (message) => (message.routing_key === token ? pagerDutyRefusal(message) : 'routing_key');
  return standIn(token, '/v2/enqueue', refusal, '{"status":"success"}', refused, { taken: 202 });
}

/** Any endpoint that takes JSON, of the given content type, at a secret address. */
export function endpointStandIn(contentType = 'application/json'): Promise<ChatStandIn<Record<string, unknown>>> {
  const token = 'secretENDPOINTtoken-_42';
  const refusal: Contract = (_message, _body, headers) =>
    headers['content-type'] === `${contentType}; charset=utf-8` ? undefined : 'content_type';
  return standIn(token, `/hooks/${token}`, refusal, '', (reason) => reason, { taken: 202 });
}

const discordRefusal: Contract = ({ content, embeds = [], allowed_mentions: mentions }) => {
  if (JSON.stringify(mentions) !== '{"parse":[]}') return 'allowed_mentions';
  if (content !== undefined && !isText(content, 2_000)) return 'content';
  if (!Array.isArray(embeds) || embeds.length > 10 || (content === undefined && embeds.length === 0)) return 'embeds';
  return embeds.every(isDiscordEmbed) ? undefined : 'embeds';
};

function isDiscordEmbed({ title, description, url, footer }: Record<string, unknown>): boolean {
  const { text } = Object(footer) as { text?: unknown };
  const parts = [title, description ?? '', text];
  return (
    isText(title, 256) &&
    (description === undefined || isText(description, 4_096)) &&
    isText(text, 2_048) &&
    URL.canParse(String(url)) &&
    parts.join('').length <= 6_000
  );
}

const teamsRefusal: Contract = ({ type, attachments }, body) => {
  if (Buffer.byteLength(body) > 28_000) return 'RequestEntityTooLarge';
  if (type !== 'message' || !Array.isArray(attachments) || attachments.length !== 1) return 'attachments';
  const { contentType, contentUrl, content } = attachments[0];
  if (contentType !== 'application/vnd.microsoft.card.adaptive' || contentUrl !== null) return 'contentType';
  if (content?.type !== 'AdaptiveCard' || content.version !== '1.4' || !Array.isArray(content.body)) return 'content';
  const texts = content.body.map((block: TextRun & { inlines?: TextRun[] }) =>
    block.type === 'RichTextBlock' ? block.inlines?.[0]?.text : block.text,
  );
  return texts.every((text: unknown) => isText(text, 28_000)) ? undefined : 'text';
};

function pagerDutyRefusal({ event_action: action, dedup_key: key, payload }: Record<string, unknown>) {
  if (!isText(key, 255)) return 'dedup_key';
  if (action === 'resolve') return undefined;
  const { summary, source, severity, timestamp } = Object(payload) as Record<string, unknown>;
  if (action !== 'trigger') return 'event_action';
  if (!isText(summary, 1_024) || !isText(source, 1_024)) return 'payload';
  if (!['critical', 'error', 'warning', 'info'].includes(String(severity))) return 'severity';
  return Number.isNaN(Date.parse(String(timestamp))) ? 'timestamp' : undefined;
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
  statuses: { readonly taken?: number; readonly refused?: number } = {},
): Promise<ChatStandIn<Message>> {
  const judge = ({ method, url, headers, body }: ChatRequest): Verdict<Message> => {
    if (method !== 'POST' || url !== path) return { answer: [404, 'no_service'] };
    let message: unknown;
    try {
      message = JSON.parse(body);
    } catch {}
    const isJson = /^application\/(cloudevents\+)?json\b/.test(headers['content-type'] ?? '');
    const refusal =
      isJson && typeof message === 'object' && message !== null
        ? contract(message as Record<string, unknown>, body, headers)
        : 'invalid_payload';
    if (refusal !== undefined) return { answer: [statuses.refused ?? 400, refusalBody(refusal)], refusal };
    return { answer: [statuses.taken ?? 200, ok], taken: message as Message };
  };
  return standInServer(token, judge, path);
}
