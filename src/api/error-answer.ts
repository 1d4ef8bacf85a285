import { printable } from '../util/printable.js';
import { type Fields, isFields, parseJson } from './read.js';

/** The parts of an error answer. */
export interface Reason {
  /** The service's own code for the error. */
  readonly code?: string;
  /** Text for people, in one line. */
  readonly text?: string;
  /** Details from the service, with secrets redacted. */
  readonly details?: unknown;
  readonly requestId?: string;
}

const maxTextLength = 300;
/** How deep to search for texts. `{detail: [{msg}]}` is the deepest known form. */
const maxDepth = 4;

/**
 * Reads the error from an answer: JSON with `msg`, `message`, `error` or `detail`, each a text, a list or an object, or
 * plain text. An HTML page is ignored, because it comes from a proxy and is for browsers.
 */
export function reasonOf(contentType: string, body: string, redact: (text: string) => string): Reason {
  const answer = parseJson(body);
  const word = isFields(answer) ? codeIn(answer) : undefined;
  // Drop a code that needs redaction, because a part of it would be another code.
  const code = word !== undefined && redact(word) === word ? word : undefined;
  const text = textIn(answer) ?? (answer === undefined && !isHtml(contentType, body) ? body : '');
  const said = oneLine(redact(text)) || code;
  const { details, requestId } = isFields(answer) && isFields(answer.error) ? answer.error : {};
  return {
    code,
    // Sometimes the service's code says more than its text.
    text:
      code !== undefined && said !== undefined && !said.includes(code) && isVastForm(answer)
        ? `${said} (${code})`
        : said,
    ...(details !== undefined && details !== null && { details: redacted(details, redact) }),
    ...(typeof requestId === 'string' && redact(requestId) === requestId && { requestId: oneLine(requestId) }),
  };
}

/** A code and a text for people: `{error: 'invalid_args', msg: '...'}`. */
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

/** Characters that nobody sees become spaces, too. */
function oneLine(text: string): string {
  const line = printable(text)
    .replace(/[\s\p{Cf}]+/gu, ' ')
    .trim();
  const characters = Array.from(line);
  return characters.length <= maxTextLength ? line : `${characters.slice(0, maxTextLength - 1).join('')}…`;
}
