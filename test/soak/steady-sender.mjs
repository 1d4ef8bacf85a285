import { createHmac, randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fateOf } from './fates.mjs';
import { Random } from './random.mjs';

const tickMs = 20;
const mostOpen = 1_000;
/** Of so many events the next duplicate may be. */
const remembered = 500;
const kinds = { genuine: 0.75, duplicate: 0.15, forged: 0.06, aborted: 0.03, 'too large': 0.01 };

/** A sender that keeps up a rate, whatever it is answered. Keeps only what it needs for the next figures. */
export class SteadySender {
  #url;
  #secret;
  #random;
  #agent = new Agent({ keepAlive: true, maxSockets: 100 });
  #recent = [];
  #open = 0;
  #count = 0;
  /** Milliseconds of the deliveries that nothing delays, since they were last taken. */
  #times = [];
  /** How often each kind was answered how. */
  answers = {};
  /** How many were not sent, since the machine does not keep up the rate. */
  heldBack = 0;
  /** How many nothing delays, and how many of these were not taken at once. */
  well = 0;
  wellNotTaken = 0;
  /** Answers that must not be. */
  wrongs = [];

  constructor({ url, secret, seed }) {
    this.#url = url;
    this.#secret = secret;
    this.#random = new Random(seed, 'steady');
  }

  takeTimes() {
    const times = this.#times;
    this.#times = [];
    return times;
  }

  get sent() {
    return this.#count;
  }

  /** Sends at so many a second until it is stopped, and waits for the last answers. */
  async send(rate, isOver) {
    const startedAt = performance.now();
    let due = 0;
    while (!isOver()) {
      const now = (rate * (performance.now() - startedAt)) / 1_000;
      // What could not be sent in time is not made up for in one go, which would be another rate.
      if (now - due > rate) due = now - rate;
      for (; due < now; due++) {
        if (this.#open < mostOpen) this.#deliver();
        else this.heldBack++;
      }
      await sleep(tickMs);
    }
    const until = performance.now() + 15_000;
    while (this.#open > 0 && performance.now() < until) await sleep(tickMs);
    if (this.#open > 0) this.wrongs.push(`${this.#open} deliveries were never answered`);
    this.#agent.destroy();
  }

  #deliver() {
    this.#count++;
    const kind = this.#kind();
    const isAgain = kind === 'duplicate' && this.#recent.length > 0;
    const id = isAgain ? this.#random.pick(this.#recent) : randomBytes(16).toString('hex');
    if (kind === 'genuine')
      this.#recent[this.#recent.length < remembered ? this.#recent.length : this.#count % remembered] = id;
    const startedAt = performance.now();
    this.#open++;
    this.#post(kind, id).then((status) => {
      this.#open--;
      const key = `${kind} ${status}`;
      this.answers[key] = (this.answers[key] ?? 0) + 1;
      const fate = fateOf(id);
      if (isWrong(kind, fate, status) && this.wrongs.length < 20) this.wrongs.push(`${kind}, which ${fate}: ${status}`);
      if (kind !== 'genuine' || fate !== 'goes well') return;
      this.#times.push(performance.now() - startedAt);
      this.well++;
      if (status !== 204) this.wellNotTaken++;
    });
  }

  #kind() {
    let chance = this.#random.next();
    for (const [kind, share] of Object.entries(kinds)) {
      chance -= share;
      if (chance < 0) return kind;
    }
    return 'genuine';
  }

  /** Resolves to the status, or to the error's code. */
  #post(kind, id) {
    const timestamp = Math.floor(Date.now() / 1000);
    const event = { event_id: id, user_id: 123, notif_type: 'outbid', subject: 'Outbid', message: 'Bid again.' };
    const body = JSON.stringify(event) + ' '.repeat(kind === 'too large' ? 70_000 : 300);
    const key = kind === 'forged' ? 'forged' : this.#secret;
    const signature = createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex');
    return new Promise((resolve) => {
      const sent = request(this.#url, {
        method: 'POST',
        agent: kind === 'aborted' || this.#count % 10 === 0 ? false : this.#agent,
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': body.length,
          'X-Vast-Signature-256': `sha256=${signature}`,
          'X-Vast-Timestamp': String(timestamp),
          'X-Vast-Delivery-Attempt': '1',
        },
      })
        .on('response', (response) => response.resume().on('end', () => resolve(response.statusCode)))
        .on('error', (error) => resolve(error.code));
      if (kind !== 'aborted') sent.end(body);
      else sent.write(body.slice(0, 100), () => sent.destroy());
    });
  }
}

/** Whether the sender would give up what is not taken, or believe taken what is not. That all takes time is no fault. */
function isWrong(kind, fate, status) {
  if (typeof status !== 'number') return false;
  const isTried = status === 408 || status >= 500;
  switch (kind) {
    case 'genuine':
      return !isTried && (status !== 204 || fate === 'fails');
    case 'duplicate':
      return !isTried && status !== 204;
    case 'forged':
      return status !== 401;
    case 'too large':
      return status !== 413;
    default:
      return true;
  }
}
