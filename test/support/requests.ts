/**
 * Requests as a sender writes them, and the answers. They go over real sockets, written byte by byte, because HTTP clients
 * would correct them.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export const secret = '9f2c6d1e5b7a48c3a0d4f86b21e97c53';
/** The clock of every service in these tests, unless a test has its own: Unix milliseconds and seconds. */
export const nowMs = 1_800_000_000_250;
export const nowSeconds = 1_800_000_000;

// ---------------------------------------------------------------- requests

let events = 0;
export function anEvent(fields: object = {}): Record<string, unknown> {
  return {
    event_id: (++events).toString(16).padStart(32, '0'),
    user_id: 123,
    notif_type: 'outbid',
    subject: 'Your Instance Has Been Outbid',
    message: 'Your bid was $0.03/hr',
    timestamp: 1_799_999_999.5,
    ...fields,
  };
}

export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface Message {
  readonly method?: string;
  /** The request target: the service's endpoint. */
  readonly target?: string;
  readonly headers?: HeaderList;
  readonly body?: string | Buffer;
}

/** Computed without the package, so that the tests check the package against something. */
export function signature(body: string | Buffer, key: string, timestamp: string | number): string {
  return `sha256=${createHmac('sha256', key).update(`${timestamp}.`).update(body).digest('hex')}`;
}

export function signed(
  payload: object | string | Buffer = anEvent(),
  {
    key = secret,
    timestamp = nowSeconds as number | string,
    attempt = '1',
  }: { key?: string; timestamp?: number | string; attempt?: string } = {},
): { body: Buffer; headers: [string, string][] } {
  const body = Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
  return {
    body,
    headers: [
      ['Content-Type', 'application/json'],
      ['X-Vast-Signature-256', signature(body, key, timestamp)],
      ['X-Vast-Timestamp', String(timestamp)],
      ['X-Vast-Delivery-Attempt', attempt],
    ],
  };
}

/** The headers of a message, with the named ones removed or replaced. */
export function headersWith(headers: HeaderList, changes: Record<string, string | undefined>): [string, string][] {
  const changed = new Set(Object.keys(changes).map((name) => name.toLowerCase()));
  const kept = headers.filter(([name]) => !changed.has(name.toLowerCase())) as [string, string][];
  const added = Object.entries(changes).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return [...kept, ...added];
}

/** The start line and the headers, as bytes, with nothing added but `Host`. */
export function head(method: string, target: string, headers: HeaderList): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: service.test', ...headers.map(([n, v]) => `${n}: ${v}`)];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

export function bytesOf({ method = 'POST', target = '/', headers = [], body = '' }: Message): Buffer {
  const bytes = Buffer.from(body);
  const framed = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const length: HeaderList = framed ? [] : [['Content-Length', String(bytes.length)]];
  return Buffer.concat([head(method, target, [...headers, ...length]), bytes]);
}

export function chunk(bytes: string | Buffer): Buffer {
  const data = Buffer.from(bytes);
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
}

// ---------------------------------------------------------------- answers

export interface Answer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One TCP connection to a service, and the answers on it. */
export class Connection {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #over = false;
  #wake: () => void = () => {};
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      const over = () => {
        this.#over = true;
        this.#wake();
        resolve();
      };
      socket.on('end', over);
      socket.on('close', over);
    });
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Received bytes that belong to no answer yet. */
  get unread(): string {
    return this.#received.toString('latin1');
  }

  write(bytes: string | Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Closes the connection, like a sender that gives up. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The next answer. Rejects when the connection ends before one is complete. */
  async answer(method = 'POST'): Promise<Answer> {
    for (;;) {
      const parsed = parseAnswer(this.#received, method, this.#over);
      if (parsed !== undefined) {
        this.#received = this.#received.subarray(parsed.length);
        if (parsed.answer.status >= 200) return parsed.answer;
      } else if (this.#over) {
        throw new Error(`the connection was closed without a whole answer: ${JSON.stringify(this.unread)}`);
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

function parseAnswer(bytes: Buffer, method: string, over: boolean): { answer: Answer; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [start = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const status = Number(start.split(' ')[1]);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const from = end + 4;
  const whole = (body: string, length: number) => ({ answer: { status, headers, body }, length });
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return whole('', from);
  if (headers['transfer-encoding'] === 'chunked') {
    return parseChunks(bytes, from, whole);
  }
  const length = headers['content-length'];
  if (length === undefined) return over ? whole(bytes.subarray(from).toString(), bytes.length) : undefined;
  const to = from + Number(length);
  return bytes.length < to ? undefined : whole(bytes.subarray(from, to).toString(), to);
}

function parseChunks<Whole>(
  bytes: Buffer,
  from: number,
  whole: (body: string, length: number) => Whole,
): Whole | undefined {
  const chunks: Buffer[] = [];
  for (let at = from; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return undefined;
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    const next = line + 2 + size + 2;
    if (bytes.length < next) return undefined;
    if (size === 0) return whole(Buffer.concat(chunks).toString(), next);
    chunks.push(bytes.subarray(line + 2, line + 2 + size));
    at = next;
  }
}
