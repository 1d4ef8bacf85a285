/** A request as somebody has kept it. */
export interface Capture {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** That the body was kept as the object that a parser made of it: its bytes are lost. */
  readonly isParsed: boolean;
  /** When it arrived, in Unix milliseconds, where that was kept, too. */
  readonly receivedAt?: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a capture: JSON with `headers` and `body`, or an HTTP message as text. Undefined for anything else. */
export function readCapture(bytes: Buffer, isBase64: boolean): Capture | undefined {
  const json = parseObject(decode(bytes));
  const capture = json ? fromJson(json) : fromMessage(bytes);
  return capture && isBase64 ? { ...capture, body: fromBase64(capture.body) } : capture;
}

/** Editors save byte-order marks, and PowerShell UTF-16. */
function decode(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  return new TextDecoder().decode(bytes);
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The forms of API Gateway, HAR, serverless platforms and test tools, besides the plain one. Undefined for what has no
 * headers.
 */
export function fromJson(json: Fields): Capture | undefined {
  const request = isFields(json.request) ? json.request : json;
  const headers = headersIn(request.headers);
  if (headers === undefined) return undefined;
  const { receivedAt, startedDateTime } = json;
  const arrival = receivedAt ?? request.receivedAt ?? startedDateTime;
  return {
    headers,
    ...bodyIn(request),
    receivedAt: typeof arrival === 'number' || typeof arrival === 'string' ? parseTime(String(arrival)) : undefined,
  };
}

function headersIn(headers: unknown): ReadonlyMap<string, string> | undefined {
  const pairs = Array.isArray(headers)
    ? headers.map((item) => (isFields(item) ? [item.name, item.value] : item))
    : isFields(headers)
      ? Object.entries(headers)
      : undefined;
  if (!pairs?.every((pair): pair is [unknown, unknown] => Array.isArray(pair))) return undefined;
  return joined(pairs.map(([name, value]) => [String(name), Array.isArray(value) ? value.join(', ') : String(value)]));
}

function bodyIn(request: Fields): Pick<Capture, 'body' | 'isParsed'> {
  const { bodyBase64, rawBody, isBase64Encoded, encoding, postData } = request;
  const body = bodyBase64 ?? rawBody ?? request.body ?? (isFields(postData) ? postData.text : undefined) ?? '';
  if (typeof body === 'string') {
    const isBase64 = bodyBase64 !== undefined || isBase64Encoded === true || encoding === 'base64';
    return { body: Buffer.from(body, isBase64 ? 'base64' : 'utf8'), isParsed: false };
  }
  // What JSON makes of a Buffer.
  if (isFields(body) && body.type === 'Buffer' && Array.isArray(body.data)) {
    return { body: Buffer.from(body.data), isParsed: false };
  }
  return { body: Buffer.from(JSON.stringify(body)), isParsed: true };
}

/** Lines of headers, an empty one, and the body to the last byte. The request line may be missing. */
function fromMessage(bytes: Buffer): Capture | undefined {
  const text = bytes.toString('latin1').replace(/^ï»¿/, '');
  const blank = /\r?\n\r?\n/.exec(text);
  const lines = text.slice(0, blank?.index ?? text.length).split(/\r?\n/);
  if (/^[A-Z]+ \S+/.test(lines[0] ?? '') && !/^[\w-]+:/.test(lines[0] ?? '')) lines.shift();
  const pairs = lines.map((line) => /^([\w-]+)\s*:\s*(.*?)\s*$/.exec(line)?.slice(1) as [string, string] | undefined);
  if (pairs.length === 0 || !pairs.every((pair) => pair !== undefined)) return undefined;
  const headers = joined(pairs);
  const body = Buffer.from(blank ? text.slice(blank.index + blank[0].length) : '', 'latin1');
  const isChunked = /\bchunked\b/i.test(headers.get('transfer-encoding') ?? '');
  return { headers, body: (isChunked && withoutChunks(body)) || body, isParsed: false };
}

function withoutChunks(body: Buffer): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.toString('latin1', at, end), 16);
    if (end === -1 || Number.isNaN(size)) return undefined;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

/** Repeated headers are joined as HTTP does it. CGI and WSGI spell names in a way of their own. */
function joined(pairs: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const [given, value] of pairs) {
    const name = given
      .toLowerCase()
      .replace(/^http_/, '')
      .replaceAll('_', '-');
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}

export function fromBase64(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1'), 'base64');
}

/** Unix seconds, Unix milliseconds or a date, as Unix milliseconds; undefined for what is none. */
export function parseTime(text: string): number | undefined {
  const number = Number(text);
  const ms = Number.isNaN(number) ? Date.parse(text) : Math.abs(number) < 1e11 ? number * 1000 : number;
  return Number.isFinite(ms) ? ms : undefined;
}
