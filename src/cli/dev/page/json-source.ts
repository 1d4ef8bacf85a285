/** A piece of a body, and what it becomes when the body is parsed and printed again. */
export interface Piece {
  readonly text: string;
  /** The same text where nothing changes. */
  readonly becomes: string;
}

interface Token {
  readonly text: string;
  readonly at: number;
  readonly isSpace: boolean;
}

const tokenPattern = /\s+|"(?:[^"\\]|\\.)*"|[^\s"{}[\],:]+|[{}[\],:]/gy;

function tokensOf(text: string): Token[] {
  return [...text.matchAll(tokenPattern)].map(({ 0: token, index: at }) => ({
    text: token,
    at,
    isSpace: /^\s/.test(token),
  }));
}

/**
 * The body as pieces, for all that `JSON.stringify(JSON.parse(body))` would change: white space, escapes, numbers such
 * as 1.0, and keys that it moves or drops. Undefined for what is no JSON.
 */
export function reserialized(body: string): readonly Piece[] | undefined {
  const mark = body.startsWith('\ufeff') ? '\ufeff' : '';
  const text = body.slice(mark.length);
  let printed: string;
  try {
    printed = JSON.stringify(JSON.parse(text));
  } catch {
    return undefined;
  }
  const tokens = tokensOf(text);
  const pieces = tokens.flatMap((token) => piecesOf(token));
  const isInOrder = pieces.map(({ becomes }) => becomes).join('') === printed;
  const moved = isInOrder ? new Set<Token>() : movedKeys(tokens);
  const marked = isInOrder
    ? pieces
    : tokens.flatMap((token) => (moved.has(token) ? [{ text: token.text, becomes: '' }] : piecesOf(token)));
  return merged([...(mark === '' ? [] : [{ text: mark, becomes: '' }]), ...marked]);
}

/** Escapes one by one, so that the rest of a text is not marked. */
const unitPattern = /\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]+/gs;

function piecesOf({ text, isSpace }: Token): Piece[] {
  if (isSpace) return [{ text, becomes: '' }];
  if (!text.startsWith('"')) return [{ text, becomes: /^[{}[\],:]$/.test(text) ? text : printedAgain(text) }];
  const units = text.slice(1, -1).match(unitPattern) ?? [];
  return [
    { text: '"', becomes: '"' },
    ...units.map((unit) => ({
      text: unit,
      becomes: unit.startsWith('\\') ? printedAgain(`"${unit}"`).slice(1, -1) : unit,
    })),
    { text: '"', becomes: '"' },
  ];
}

function printedAgain(json: string): string {
  return JSON.stringify(JSON.parse(json));
}

/** Keys that stand twice, of which one is dropped, and whole numbers, which JavaScript puts first. */
function movedKeys(tokens: readonly Token[]): Set<Token> {
  const moved = new Set<Token>();
  const open: (Map<string, Token> | undefined)[] = [];
  const solid = tokens.filter(({ isSpace }) => !isSpace);
  for (const [index, token] of solid.entries()) {
    if (token.text === '{') open.push(new Map());
    else if (token.text === '[') open.push(undefined);
    else if (token.text === '}' || token.text === ']') open.pop();
    const keys = open.at(-1);
    if (keys === undefined || !token.text.startsWith('"') || solid[index + 1]?.text !== ':') continue;
    const key = JSON.parse(token.text) as string;
    const before = keys.get(key);
    if (before !== undefined) moved.add(before);
    if (/^(0|[1-9]\d{0,9})$/.test(key)) moved.add(token);
    keys.set(key, token);
  }
  return moved;
}

function merged(pieces: readonly Piece[]): Piece[] {
  const left: Piece[] = [];
  for (const piece of pieces) {
    const last = left.at(-1);
    const isSame = piece.text === piece.becomes;
    if (last !== undefined && isSame && last.text === last.becomes) {
      const text = last.text + piece.text;
      left[left.length - 1] = { text, becomes: text };
    } else {
      left.push(piece);
    }
  }
  return left;
}

/** The body with another event id, and all its other bytes as they are. Undefined where there is no event id. */
export function withEventId(body: string, id: string): string | undefined {
  const text = body.replace(/^\ufeff/, '');
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const solid = tokensOf(text).filter(({ isSpace }) => !isSpace);
  let depth = 0;
  let found: Token | undefined;
  for (const [index, { text: token }] of solid.entries()) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    const value = solid[index + 2];
    const isKey = depth === 1 && solid[0]?.text === '{' && token.startsWith('"') && solid[index + 1]?.text === ':';
    // Of a key that stands twice, the last one counts.
    if (isKey && JSON.parse(token) === 'event_id') found = value;
  }
  if (found === undefined || !found.text.startsWith('"')) return undefined;
  return text.slice(0, found.at) + JSON.stringify(id) + text.slice(found.at + found.text.length);
}
