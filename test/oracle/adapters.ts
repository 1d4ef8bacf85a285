/**
 * What the two adapters in the guides of docs.vast.ai do, as facts: `examples/notifications/slack-webhook` and
 * `google-chat-webhook` in the repository vast-ai/docs, read at c624622. In this project's own words.
 */
export interface Expected {
  readonly status: number;
  /** What the reader of the chat must find, line by line; undefined where the chat gets nothing. */
  readonly lines?: readonly string[];
}

export interface Case {
  /** A POST's body, signed unless `isForged`. */
  readonly body: string;
  readonly isForged: boolean;
  /** How the chat answers. */
  readonly chatStatus: number;
}

/** | step | what they do | */
export const facts = [
  ['a signature that does not hold', '401'],
  ['an empty body', 'is an object without fields'],
  ["a body that Python's json cannot read", '400; NaN and Infinity can be read'],
  ['JSON that is no object', '400'],
  ['a value that Python takes for false: missing, null, "", 0, false, [], {}', 'counts as missing'],
  ['a missing subject', 'a fixed title'],
  ['a missing message', 'the whole payload as JSON'],
  ['a value that is no text', 'is shown as Python writes it'],
  ['a missing type or id', 'is left out, or a fixed word'],
  ['a chat that answers 400 or more', '502'],
  ['everything else', '200 and one message'],
] as const;

const isFalse = (value: unknown) =>
  !value || (typeof value === 'object' && Object.keys(value as object).length === 0 && !Object.is(value, Number.NaN));

/** Texts of which one must be seen, since Python and JSON write what is no text differently. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.split('\n').map((line) => line.trim());
  if (typeof value === 'object') return JSON.stringify(value).match(/[\p{L}\p{N}]+/gu) ?? [];
  return [String(value)];
}

/** By the table above. */
export function expectedOf({ body, isForged, chatStatus }: Case, parsed: unknown): Expected {
  if (isForged) return { status: 401 };
  if (parsed === undefined || typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return { status: 400 };
  }
  if (chatStatus >= 400) return { status: 502 };
  const { subject, message, notif_type, event_id } = parsed as Record<string, unknown>;
  const shown = [subject, notif_type, event_id].filter((value) => !isFalse(value)).flatMap(textsOf);
  const payload = body === '' ? [] : Object.keys(parsed);
  return { status: 200, lines: [...shown, ...(isFalse(message) ? payload : textsOf(message))].filter(Boolean) };
}
