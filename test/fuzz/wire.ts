/** The attacker's side of a connection. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { bytesOf, edited } from './bytes.js';
import type { Lane } from './cases.js';
import type { Seen } from './observer.js';

export class Wire {
  readonly port: number;
  readonly lane: Lane;
  readonly bytes: Buffer;
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #isHungUp = false;
  /** Whether the other side has closed, and not we. */
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
      if (!this.#isHungUp) this.isClosed = true;
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
    this.#isHungUp = end === 'hang up' || end === 'reset';
    if (end === 'half-close') this.#socket.end();
    else if (end === 'hang up') this.#socket.destroySoon();
    else if (end === 'reset') this.#socket.resetAndDestroy();
  }

  hangUp(): void {
    this.#isHungUp = true;
    this.#socket.destroy();
  }

  /** The whole answers so far to these requests, in order, and whatever is behind them. */
  answers(requests: readonly Pick<Seen, 'method' | 'status'>[]): { own: number[]; rest: string } {
    const own: number[] = [];
    // Node.js puts this behind the head of the answer itself, where that had to wait for the one before.
    let rest = this.#received.toString('latin1').replaceAll('HTTP/1.1 100 Continue\r\n\r\n', '');
    for (;;) {
      const head = /^HTTP\/1\.1 ([1-5]\d\d) .*?\r\n\r\n/s.exec(rest);
      if (head === null) return { own, rest };
      const status = Number(head[1]);
      const request = requests[own.length];
      const from = head[0].length;
      const length = lengthOf(head[0], status, request?.method, rest.slice(from));
      if (length === undefined || rest.length < from + length) return { own, rest };
      rest = rest.slice(from + length);
      if (status >= 200 && !isServers(head[0], status, request?.status)) own.push(status);
    }
  }
}

function lengthOf(head: string, status: number, method: string | undefined, behind: string): number | undefined {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0;
  if (/\r\ntransfer-encoding: chunked/i.test(head)) {
    const last = behind.indexOf('0\r\n\r\n');
    return last === -1 ? undefined : last + 5;
  }
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  return length === undefined ? behind.length : Number(length);
}

/**
 * Whether no service has heard of what is answered. Where its parser stumbles the server writes by itself, without a
 * date; an expectation that it does not know and a missing host it answers in the place of the service.
 */
function isServers(head: string, status: number, due: number | undefined): boolean {
  return !/\r\ndate:/i.test(head) || status === 417 || (status === 400 && due !== 400);
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
