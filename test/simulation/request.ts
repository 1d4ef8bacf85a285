import type { Answer } from '../../src/contracts/answer.js';
import type { ReceivedDelivery } from '../../src/contracts/delivery.js';
import type { HandlerAnswer } from '../../src/contracts/result.js';
import type { AdapterRequest } from '../../src/endpoint.js';
import type { VastEvent } from '../../src/providers/vast.js';
import { aborted, type OnBody, timedOut } from '../../src/receive/body.js';
import type { Happening } from './machine.js';
import type { Running, Sent, World } from './world.js';

/** How the body comes: at once, late, not at all, or the connection breaks before. */
export type BodyFare = 'ok' | 'late' | 'never' | 'aborted';

/** One request as the adapters present it, from both of its ends. */
export class SimExchange implements AdapterRequest<VastEvent> {
  readonly method = 'POST';
  readonly url = '/vast/webhooks';
  readonly #world: World;
  readonly #running: Running;
  readonly #sent: Sent;
  readonly #body: Buffer;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #bodyFare: BodyFare;
  readonly startedAt: number;
  /** What the sender hears: a status, or 0 when the connection broke. */
  answered: (status: number, code?: string) => void = () => {};
  /** For the sender. */
  isOver = false;
  /** When the sender gives up. */
  patience: Happening | undefined;
  isHandedOn = false;
  /** How often the engine has ended it. */
  ends = 0;
  #late: (() => void) | undefined;

  constructor(
    world: World,
    running: Running,
    sent: Sent,
    body: Buffer,
    headers: Readonly<Record<string, string>>,
    bodyFare: BodyFare,
  ) {
    this.#world = world;
    this.#running = running;
    this.#sent = sent;
    this.#body = body;
    this.#headers = headers;
    this.#bodyFare = bodyFare;
    this.startedAt = world.machine.now;
    running.open.add(this);
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  readBody(_limit: number, timeoutMs: number, done: OnBody): void {
    const { life } = this.#running;
    if (this.#bodyFare === 'never')
      life.io(timeoutMs, 'no body', () => {
        this.#sent.lostMs += this.#world.machine.now - this.startedAt;
        done(timedOut(timeoutMs));
      });
    else if (this.#bodyFare === 'aborted') {
      life.io(1, 'half a body', () => {
        this.#sent.lostMs += this.#world.machine.now - this.startedAt;
        done(aborted());
        this.hangUp();
      });
    } else life.io(this.#bodyFare === 'late' ? 3_000 : 0.2, 'body', () => done(undefined, this.#body));
  }

  answer({ status, body }: Answer): number {
    this.ends++;
    this.#world.ended.push({ id: this.#sent.id, exchange: this });
    this.#respond(status, body === undefined ? undefined : JSON.parse(body).error);
    return status;
  }

  callHandler({ delivery }: ReceivedDelivery<VastEvent>, settle: (answer: HandlerAnswer) => void): void {
    this.isHandedOn = true;
    this.#world.handle(this.#running, this.#sent.receiver, delivery.id, (answer) => {
      const respond = () => this.#respond(answer.status === 0 ? 500 : answer.status);
      if (this.#world.plan.answersFirst) respond();
      else this.#late = respond;
      settle(answer);
    });
  }

  onSettled(): void {
    this.ends++;
    this.#world.ended.push({ id: this.#sent.id, exchange: this });
    this.#late?.();
  }

  /** Of the platform, where there is one. */
  get waitUntil(): ((work: Promise<unknown>) => void) | undefined {
    if (!this.#world.plan.isolates) return undefined;
    return (work) => {
      const end = this.#world.waitUntil(this.#running);
      work.then(end, end);
    };
  }

  /** The sender, its patience, or the process at the other end. */
  hangUp(): void {
    if (this.isOver) return;
    this.#close();
    this.answered(0);
  }

  #respond(status: number, code?: string): void {
    if (this.isOver) return;
    this.#close();
    this.#world.machine.in(0.3, undefined, 'io', 'answer', () => this.answered(status, code));
  }

  #close(): void {
    this.isOver = true;
    this.#running.open.delete(this);
    if (this.patience !== undefined) this.#world.machine.cancel(this.patience);
    this.#world.rest(this.#running);
  }
}
