import { createHash, createHmac } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.mjs';
import { chanceOf } from './random.mjs';

const timeoutMs = 10_000;
/** How many deliveries are under way at a time, as with a sender that has so many workers. */
const workers = 100;

/**
 * Vast.ai, as far as it is known: each attempt is signed afresh, 2xx ends a delivery, 3xx and 4xx but 408 and 429 end
 * it for good, and all else is tried again. How soon is not known; here it is soon, so that a run is short.
 */
export class Sender {
  #url;
  #secret;
  #seed;
  #retry = { firstMs: 80, growth: 1.8, mostMs: 1_000 };
  #free = workers;
  #waiting = [];
  #stopped = new AbortController();
  /** `{ id, deliveries, answeredAt?, droppedWith? }`, times by `now()`. */
  events = [];
  /** `{ event, start, end, status, code? }`: status 0 without an answer. */
  attempts = [];
  /** How many deliveries have ended. */
  ended = 0;
  /** Called with the event at its first 2xx. */
  onAnswered = () => {};

  constructor({ url, secret, seed }) {
    this.#url = url;
    this.#secret = secret;
    this.#seed = seed;
    // All that is under way listens.
    setMaxListeners(0, this.#stopped.signal);
  }

  /** Sends so many events, begun over so many milliseconds. Resolves when every delivery has ended. */
  async send(count, overMs) {
    const first = this.events.length;
    const deliveries = [];
    const startedAt = now();
    for (let i = first; i < first + count; i++) {
      const dueAt = startedAt + ((i - first + chanceOf(this.#seed, 'start', i)) * overMs) / count;
      deliveries.push(this.#sendEvent(i, Math.max(0, dueAt - now())));
    }
    await Promise.all(deliveries);
  }

  /** Gives up on all that has not been answered. */
  stop() {
    this.#stopped.abort();
  }

  async #sendEvent(number, delayMs) {
    const seed = [this.#seed, 'event', number];
    const id = createHash('sha256').update(seed.join(' ')).digest('hex').slice(0, 32);
    const event = { id, deliveries: 1 + Math.floor(chanceOf(...seed, 'deliveries') * 3) };
    this.events.push(event);
    if (!(await this.#pause(delayMs))) return;
    const together = [];
    const afterwards = [];
    for (let delivery = 1; delivery <= event.deliveries; delivery++) {
      const isFirst = delivery === 1;
      (isFirst || chanceOf(...seed, 'together', delivery) < 0.6 ? together : afterwards).push(delivery);
    }
    await Promise.all(together.map((delivery) => this.#deliver(event, delivery, () => event.answeredAt !== undefined)));
    // At least once: also what has been answered may come again.
    for (const delivery of afterwards) {
      if (!(await this.#pause(chanceOf(...seed, 'pause', delivery) * 400))) return;
      await this.#deliver(event, delivery, () => false);
    }
  }

  /** `isSettled`: whether another delivery has made this one's next attempt needless. */
  async #deliver(event, delivery, isSettled) {
    await this.#tryOn(event, delivery, isSettled);
    this.ended++;
  }

  async #tryOn(event, delivery, isSettled) {
    for (let attempt = 1; !this.#stopped.signal.aborted; attempt++) {
      const { status } = await this.#attempt(event, attempt);
      if (status >= 200 && status <= 299) return;
      if (status >= 300 && status <= 499 && status !== 408 && status !== 429) {
        event.droppedWith = status;
        return;
      }
      const { firstMs, growth, mostMs } = this.#retry;
      const jitter = 0.5 + chanceOf(this.#seed, event.id, delivery, attempt);
      if (!(await this.#pause(Math.min(mostMs, firstMs * growth ** (attempt - 1)) * jitter)) || isSettled()) return;
    }
  }

  async #attempt(event, number) {
    if (this.#free > 0) this.#free--;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    const attempt = { event: event.id, start: now(), end: undefined, status: 0, code: undefined };
    this.attempts.push(attempt);
    try {
      const { status, body } = await this.#post(event.id, number);
      attempt.status = status;
      attempt.code = /"error":"(\w+)"/.exec(body)?.[1];
    } catch (error) {
      attempt.code = error.code ?? error.name;
    }
    attempt.end = now();
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
    if (attempt.status >= 200 && attempt.status <= 299 && event.answeredAt === undefined) {
      event.answeredAt = attempt.end;
      this.onAnswered(event);
    }
    return attempt;
  }

  /** Rejects when there is no whole answer in time. */
  async #post(id, attempt) {
    const timestamp = Math.floor(Date.now() / 1000);
    const body = bodyOf(id);
    const signature = createHmac('sha256', this.#secret).update(`${timestamp}.${body}`).digest('hex');
    const response = await new Promise((resolve, reject) => {
      request(this.#url, {
        method: 'POST',
        // A connection each, as simple senders do: a service that was killed is found out at once.
        agent: false,
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#stopped.signal]),
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'X-Vast-Signature-256': `sha256=${signature}`,
          'X-Vast-Timestamp': String(timestamp),
          'X-Vast-Event-Id': id,
          'X-Vast-Delivery-Attempt': String(attempt),
        },
      })
        .on('response', resolve)
        .on('error', reject)
        .end(body);
    });
    return { status: response.statusCode, body: await text(response) };
  }

  /** False when the sender has been stopped. */
  async #pause(ms) {
    try {
      await sleep(ms, undefined, { signal: this.#stopped.signal });
      return true;
    } catch {
      return false;
    }
  }
}

function bodyOf(id) {
  const instance = Number.parseInt(id.slice(0, 6), 16);
  return JSON.stringify({
    event_id: id,
    user_id: 123,
    notif_type: 'outbid',
    subject: `Your Interruptible Instance #${instance} Has Been Outbid`,
    message: `Your interruptible instance ${instance} on machine 46110 has been outbid and will be stopped.`,
    timestamp: Date.now() / 1000,
  });
}
