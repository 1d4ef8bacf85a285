import { type Fields, isFields, parseJson } from './read.js';

/** What an error answer says of itself. */
export interface Reason {
  /** The service's own word for the error. */
  readonly code?: string;
  /** For people: one line. */
  readonly text?: string;
  /** What the service adds, without what is secret in it. */
  readonly details?: unknown;
  readonly requestId?: string;
}

const maxTextLength = 300;
/** How deep texts are looked for: `{detail: [{msg}]}` is the deepest known. */
const maxDepth = 4;

/**
 * Reads the error out of an answer in whichever form it came: JSON with `msg`, `message`, `error` or `detail`, each a
 * text, a list or an object; or plain text. Of an HTML page nothing is taken: it is a proxy's, and for browsers.
 */
export function reasonOf(contentType: string, body: string, redact: (text: string) => string): Reason {
  const answer = parseJson(body);
  const word = isFields(answer) ? codeIn(answer) : undefined;
  // Whole or not at all: a part of it would be another code.
  const code = word !== undefined && redact(word) === word ? word : undefined;
  const text = textIn(answer) ?? (answer === undefined && !isHtml(contentType, body) ? body : '');
  const said = oneLine(redact(text)) || code;
  const { details, requestId } = isFields(answer) && isFields(answer.error) ? answer.error : {};
  return {
    code,
    // A service's own word says more than its text at times.
    text:
      code !== undefined && said !== undefined && !said.includes(code) && isVastForm(answer)
        ? `${said} (${code})`
        : said,
    ...(details !== undefined && details !== null && { details: redacted(details, redact) }),
    ...(typeof requestId === 'string' && redact(requestId) === requestId && { requestId: oneLine(requestId) }),
  };
}

/** A word beside the text for people: `{error: 'invalid_args', msg: '...'}`. */
function isVastForm(answer: unknown): boolean {
  return isFields(answer) && typeof answer.error === 'string' && typeof answer.msg === 'string';
}

function redacted(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === 'string') return redact(value);
  return JSON.parse(JSON.stringify(value), (_, each) => (typeof each === 'string' ? redact(each) : each));
}

export function isHtml(contentType: string, body: string): boolean {
  return /\bhtml\b/i.test(contentType) || body.trimStart().startsWith('<');
}

function textIn(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'string') return value.trim() || undefined;
  if (depth === maxDepth) return undefined;
  if (Array.isArray(value)) return value.flatMap((each) => textIn(each, depth + 1) ?? []).join('; ') || undefined;
  if (!isFields(value)) return undefined;
  for (const name of ['msg', 'message', 'error', 'detail']) {
    const text = textIn(value[name], depth + 1);
    if (text !== undefined) return text;
  }
  return undefined;
}

function codeIn({ error, code }: Fields): string | undefined {
  const words = [isFields(error) ? error.code : error, code];
  return words.find((word): word is string => typeof word === 'string' && /^[a-z][\w.-]{0,63}$/i.test(word));
}

/** Characters that steer a terminal have no business in a message. */
function oneLine(text: string): string {
  const line = text.replace(/[\s\p{C}]+/gu, ' ').trim();
  const characters = Array.from(line);
  return characters.length <= maxTextLength ? line : `${characters.slice(0, maxTextLength - 1).join('')}…`;
}
