import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { now } from './clock.mjs';
import { chanceOf } from './random.mjs';

/** How often a sink misbehaves in each way. */
export const usualFaults = { error: 0.08, busy: 0.03, hang: 0.015, hangUp: 0.04 };

/**
 * A chat's incoming webhook on loopback. What it does with a request is decided by the seed, the event and how often
 * it has been asked about it. It has an event if it answered 200, and not otherwise.
 */
export class SinkStandIn {
  #server;
  #seed;
  #faults;
  #asked = new Map();
  name;
  /** `{ event, life, at }`, where `life` says which process delivered it. */
  receipts = [];
  /** What is being answered, or never will be: `{ event, life }`. */
  open = new Set();
  failures = 0;
  /** Called with each receipt as it is answered. */
  onReceipt = () => {};

  constructor(name, seed, faults) {
    this.name = name;
    this.#seed = seed;
    this.#faults = faults;
    this.#server = createServer(async (req, res) => {
      const open = { life: new URL(req.url, 'http://sink').searchParams.get('life'), event: undefined };
      this.open.add(open);
      res.on('close', () => this.open.delete(open));
      try {
        open.event = /[0-9a-f]{32}/.exec(await text(req))[0];
        this.#answer(res, open);
      } catch {
        // Whoever asked was killed before it had said all.
        res.destroy();
      }
    });
    this.#server.keepAliveTimeout = 60_000;
  }

  async listen() {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return this;
  }

  /** The address that the process of this name is given. */
  urlFor(life) {
    return `http://127.0.0.1:${this.#server.address().port}/${this.name}?life=${life}`;
  }

  #answer(res, { event, life }) {
    const asked = (this.#asked.get(event) ?? 0) + 1;
    this.#asked.set(event, asked);
    const fault = this.#faultOf(chanceOf(this.#seed, this.name, event, asked));
    if (fault !== undefined) this.failures++;
    switch (fault) {
      case 'error':
        res.writeHead(500).end('sorry');
        break;
      case 'busy':
        res.writeHead(429, { 'Retry-After': '1' }).end('slow down');
        break;
      case 'hangUp':
        res.destroy();
        break;
      case 'hang':
        break;
      default: {
        const receipt = { event, life, at: now() };
        this.receipts.push(receipt);
        res.writeHead(200).end('ok');
        this.onReceipt(receipt);
      }
    }
  }

  #faultOf(chance) {
    let upTo = 0;
    for (const [fault, share] of Object.entries(this.#faults)) {
      upTo += share;
      if (chance < upTo) return fault;
    }
    return undefined;
  }

  async close() {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, 'close');
  }
}
