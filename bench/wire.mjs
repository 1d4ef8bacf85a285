import { Duplex } from 'node:stream';

/**
 * A keep-alive connection to a server in this process. Without a socket and the kernel it measures only the time that
 * the server's own JavaScript takes, which varies far less from run to run.
 */
export class Wire extends Duplex {
  #received = '';
  #answered;

  constructor(server) {
    super();
    server.emit('connection', this);
  }

  /** Sends the deliveries one after the other, each when the one before has been answered. Throws on another status. */
  async send(deliveries, status) {
    let next = 0;
    await new Promise((resolve, reject) => {
      const send = () => this.push(deliveries[next++]);
      this.#answered = (answer) => {
        if (!answer.startsWith(`HTTP/1.1 ${status} `)) reject(new Error(`expected ${status}, got: ${answer}`));
        else if (next === deliveries.length) resolve();
        // In its own turn of the event loop, like a request from the network.
        else setImmediate(send);
      };
      send();
    });
    // Work after its last answer is also a cost of the candidate.
    await new Promise((resolve) => setImmediate(resolve));
  }

  _read() {}

  _write(chunk, _encoding, callback) {
    this.#received += chunk.latin1Slice();
    callback();
    const head = this.#received.indexOf('\r\n\r\n');
    if (head === -1) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
    if (this.#received.length < head + 4 + length) return;
    const answer = this.#received;
    this.#received = '';
    this.#answered(answer);
  }
}
