/** The attacker's side of a connection. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { bytesOf, edited } from './bytes.js';
import type { Lane } from './cases.js';

export interface Answer {
  readonly status: number;
  /** Whether the server made it by itself, before the service heard of a request. */
  readonly isServers: boolean;
}

export class Wire {
  readonly port: number;
  readonly lane: Lane;
  readonly bytes: Buffer;
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  /** Whether the other side has closed. */
  isClosed = false;

  private constructor(socket: Socket, lane: Lane, bytes: Buffer) {
    this.#socket = socket;
    this.port = socket.localPort ?? 0;
    this.lane = lane;
    this.bytes = bytes;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
    socket.on('error', () => {});
    const closed = () => {
      this.isClosed = true;
    };
    socket.once('end', closed);
    socket.once('close', closed);
  }

  static async open(port: number, lane: Lane, serials: readonly string[]): Promise<Wire> {
    const whole = edited(Buffer.concat(lane.requests.map((shape) => bytesOf(shape, serials))), lane.edits);
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    await once(socket, 'connect');
    return new Wire(socket, lane, whole.subarray(0, Math.ceil((whole.length * lane.part) / 1_000)));
  }

  /** How many bytes the other side can have read. */
  get sent(): number {
    return this.#socket.bytesWritten;
  }

  get received(): Buffer {
    return this.#received;
  }

  async send(): Promise<void> {
    const { cuts, every, end } = this.lane;
    for (const { piece, pauseMs } of piecesOf(this.bytes, cuts, every)) {
      if (this.#socket.destroyed) return;
      this.#socket.write(piece);
      await (pauseMs > 0 ? sleep(pauseMs) : turn());
    }
    if (end === 'half-close') this.#socket.end();
    else if (end === 'hang up') this.#socket.destroySoon();
    else if (end === 'reset') this.#socket.resetAndDestroy();
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  /** The whole answers so far, and whatever is behind them. `methods` are those of the requests, in order. */
  answers(methods: readonly string[]): { answers: Answer[]; rest: string } {
    const answers: Answer[] = [];
    let rest = this.#received.toString('latin1');
    for (;;) {
      const end = rest.indexOf('\r\n\r\n');
      if (end === -1) return { answers, rest };
      const head = rest.slice(0, end);
      const status = Number(head.split(' ')[1]);
      if (!/^HTTP\/1\.1 [1-5]\d\d /.test(head)) return { answers, rest };
      const length = lengthOf(head, status, methods[answers.filter(({ isServers }) => !isServers).length], rest, end + 4);
      if (length === undefined || rest.length < end + 4 + length) return { answers, rest };
      rest = rest.slice(end + 4 + length);
      if (status >= 200) answers.push({ status, isServers: isServers(head, status) });
    }
  }
}

function lengthOf(head: string, status: number, method: string | undefined, text: string, from: number) {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0;
  if (/\r\ntransfer-encoding: chunked/i.test(head)) {
    const last = text.indexOf('0\r\n\r\n', from);
    return last === -1 ? undefined : last + 5 - from;
  }
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  return length === undefined ? text.length - from : Number(length);
}

/** Where the parser stumbles it writes by itself, without a date; an expectation or a missing host it answers alone. */
function isServers(head: string, status: number): boolean {
  return !/\r\ndate:/i.test(head) || status === 417 || (status === 400 && !/\r\ncontent-type:/i.test(head));
}

function* piecesOf(bytes: Buffer, cuts: Lane['cuts'], every: number): Generator<{ piece: Buffer; pauseMs: number }> {
  const pauses = new Map<number, number>();
  if (every > 0) for (let at = every; at < bytes.length; at += every) pauses.set(at, 0);
  if (bytes.length > 0) for (const { at, pauseMs } of cuts) pauses.set(1 + (at % bytes.length), pauseMs);
  let from = 0;
  for (const at of [...pauses.keys()].sort((a, b) => a - b)) {
    if (at >= bytes.length) break;
    yield { piece: bytes.subarray(from, at), pauseMs: pauses.get(at) ?? 0 };
    from = at;
  }
  if (from < bytes.length) yield { piece: bytes.subarray(from), pauseMs: 0 };
}
