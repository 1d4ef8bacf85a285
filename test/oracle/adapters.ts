/**
 * What the two adapters in the guides of docs.vast.ai do, as facts: `examples/notifications/slack-webhook` and
 * `google-chat-webhook` in the repository vast-ai/docs, read at c624622. In this project's own words.
 */

export type Adapter = 'Slack' | 'Slack workflow' | 'Google Chat';

/** How the chat takes what it is sent. */
export type ChatConduct =
  | { readonly is: 'status'; readonly status: number }
  /** Takes it after so many seconds. */
  | { readonly is: 'slow'; readonly seconds: number }
  /** Another address takes it. */
  | { readonly is: 'redirect'; readonly status: 307 | 308 }
  /** 200, and a refusal in the body. */
  | { readonly is: 'refusal' }
  /** Cuts the connection. */
  | { readonly is: 'reset' };

export interface Request {
  readonly body: Buffer;
  /** `signed`: over the timestamp as it is sent, which Python reads as a number and others may not. */
  readonly signature: 'genuine' | 'forged' | 'missing' | 'stale' | 'with a + before the timestamp';
  readonly chat: ChatConduct;
}

/** What the reader of the chat finds. */
export interface Shown {
  /** Each, and in this order. */
  readonly texts: readonly string[];
  /** What the message leads to, below the console; empty where the adapter knows nothing better than the console. */
  readonly link: string;
}

/** | what arrives | what they do | */
export const facts = [
  ['a signature that does not hold, or is older than five minutes', '401'],
  ["a timestamp that Python's int reads, such as +1", 'is taken'],
  ['an empty body', 'is an object without fields'],
  ['bytes that are not UTF-8', 'an exception: the connection breaks off'],
  ["a body that Python's json cannot read, with a byte-order mark also", '400; NaN and Infinity can be read'],
  ['JSON that is no object', '400'],
  ['a value that Python takes for false: missing, null, "", 0, false, [], {}', 'counts as missing'],
  ['a missing subject', 'a fixed title'],
  ['a missing message', 'the whole payload as JSON'],
  ['a value that is no text', 'is shown as Python writes it; as subject at Google Chat an exception'],
  ['a type that is a list or an object', 'an exception, where there are links'],
  ['a missing type or id', 'is left out, or a fixed word'],
  ['an event that came before', 'is posted again'],
  ['a chat that answers 400 or more', '502'],
  ['a chat that takes 10 seconds, or cuts the connection', 'an exception'],
  ['a chat that redirects by 307 or 308', 'is followed'],
  ['everything else', '200 and one message'],
] as const;

/** Python's `bool(value)`. */
const isTrue = (value: unknown) =>
  Number.isNaN(value) || (Boolean(value) && (typeof value !== 'object' || Object.keys(value as object).length > 0));

/** Python's `json.loads`; undefined for what it refuses. `NaN` is null here, as JSON writes it. */
function pythonJson(text: string): unknown {
  try {
    return JSON.parse(text || '{}');
  } catch {}
  try {
    return JSON.parse(
      text.replace(/("(?:[^"\\]|\\.)*")|-?Infinity\b|\bNaN\b/gs, (token, string) => {
        return string ?? token.replace('Infinity', '1e999').replace('NaN', 'null');
      }),
    );
  } catch {
    return undefined;
  }
}

const links: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['low_credit', 'billing_failed', 'payment_receipt'].map((type) => [type, '/billing/'])),
  ...Object.fromEntries(
    ['created', 'started', 'stopped', 'offline', 'online'].map((what) => [`instance_${what}`, '/instances/']),
  ),
  outbid: '/instances/',
  upcoming_downtime: '/instances/',
};

/** Of what is no text each word, since Python and JSON write it differently. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' ? wordsIn(value) : [String(value)];
}

/** In the order of the JSON. */
function wordsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.match(/[\p{L}\p{N}]+/gu) ?? [];
  if (typeof value !== 'object' || value === null) return wordsIn(JSON.stringify(value));
  return Object.entries(value).flatMap(([key, each]) => [
    ...(Array.isArray(value) ? [] : wordsIn(key)),
    ...wordsIn(each),
  ]);
}

/** The status by the table above; undefined where the connection breaks off, after which the sender tries again. */
export function statusOf(adapter: Adapter, { body, signature, chat }: Request): number | undefined {
  if (['forged', 'missing', 'stale'].includes(signature)) return 401;
  const text = utf8(body);
  if (text === undefined) return undefined;
  const event = eventIn(text);
  if (event === undefined) return 400;
  const { subject, notif_type: type } = event;
  if (adapter === 'Google Chat' && isTrue(subject) && typeof subject !== 'string') return undefined;
  if (adapter !== 'Google Chat' && isTrue(type) && typeof type === 'object') return undefined;
  if (chat.is === 'reset' || (chat.is === 'slow' && chat.seconds >= 10)) return undefined;
  return chat.is === 'status' && chat.status >= 400 ? 502 : 200;
}

function utf8(body: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** Undefined for what is no object. */
export function eventIn(text: string): Readonly<Record<string, unknown>> | undefined {
  const parsed = pythonJson(text);
  return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
    ? (parsed as Readonly<Record<string, unknown>>)
    : undefined;
}

/** What they post of an event. */
export function shownOf(adapter: Adapter, event: Readonly<Record<string, unknown>>): Shown {
  const { subject, message, notif_type: type, event_id: id } = event;
  const details = adapter === 'Slack workflow' ? [] : [type, isShownId(id) ? id : undefined].filter(isTrue);
  return {
    texts: [
      ...(isTrue(subject) ? textsOf(subject) : []),
      ...(isTrue(message) ? textsOf(message) : wordsIn(event)),
      ...details.flatMap(textsOf),
    ],
    link: adapter !== 'Google Chat' && typeof type === 'string' ? (links[type] ?? '') : '',
  };
}

/** For others the page promises the hash of the body. */
function isShownId(id: unknown): boolean {
  return Number.isSafeInteger(id) || (typeof id === 'string' && id.length <= 255 && !/\p{Cc}/u.test(id));
}
