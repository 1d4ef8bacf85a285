import type { Answer } from '../../src/answer.js';
import { Endpoint, type Exchange } from '../../src/endpoint.js';
import { memoryStoreOn } from '../../src/forward/memory-store.js';
import type { HandlerAnswer } from '../../src/forward/run.js';
import type { Sink, SinkContext } from '../../src/forward/sink.js';
import type { IdempotencyStore } from '../../src/forward/store.js';
import { type Outbox, sqliteOutboxOn } from '../../src/outbox/sqlite-outbox.js';
import { type VastEvent, vast } from '../../src/providers/vast.js';
import type { OnBody } from '../../src/receive/body.js';
import type { Received } from '../../src/receive/delivery.js';
import { sign } from '../../src/receive/signature.js';
import { digestOn } from '../../src/sinks/digest.js';
import { quietOn } from '../../src/sinks/quiet.js';
import type { Choices } from './choices.js';
import { type Happening, Life, Machine } from './machine.js';
import { type Fault, type Plan, type SinkFare, type SinkKind, sinkFare, storeFare } from './plan.js';
import { openTable, type Table } from './sqlite.js';
import { clientOf, ModelStore } from './store.js';

export const leaseMs = 30_000;
const start = 1_000_000;
/** The longest that anything is waited for: a digest is tried for 15 minutes. */
const horizonMs = 40 * 60_000;

/** One call of a sink, or of the service's handler. */
export interface Told {
  readonly id: string;
  readonly sink: string;
  readonly receiver: number;
  readonly kind: SinkKind | 'handler';
  readonly life: Life;
  readonly at: number;
  /** When the other side has taken it. */
  effectAt: number | undefined;
  settledAt: number | undefined;
  /** What the process heard of it. */
  seen: 'ok' | 'failed' | undefined;
}

/** What one sender goes on sending until it is taken. */
export interface Sent {
  readonly id: string;
  readonly receiver: number;
  readonly since: number;
  doneAt: number | undefined;
  status: number | undefined;
  attempts: number;
  /** How long it waits between two attempts. */
  waitMs: number;
  /** Where a digest has taken it before it was told. */
  readonly takenBy: Map<string, Life>;
}

/** One process, and what runs in it. */
interface Running {
  readonly life: Life;
  readonly endpoints: readonly Endpoint<VastEvent>[];
  readonly outboxes: readonly Outbox<VastEvent>[];
  readonly open: Set<SimExchange>;
  requests: number;
  outcomes: number;
  closing: { readonly at: number; readonly timeoutMs: number | undefined; isDone: boolean } | undefined;
}

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

export class World {
  readonly plan: Plan;
  readonly choices: Choices;
  readonly machine: Machine;
  readonly store: ModelStore;
  readonly told: Told[] = [];
  readonly sent: Sent[] = [];
  readonly runnings: Running[] = [];
  readonly violations: Violation[] = [];
  readonly forgotAt: number[] = [];
  readonly steppedAt: number[] = [];
  /** When the last thing went wrong, or the last one that was late came. */
  lastFaultAt = start;
  readonly #slots: Running[] = [];
  readonly #slotSteps: number[] = [];
  readonly #faults: Fault[];
  readonly #tables: (Table | undefined)[] = [];
  #storeCalls = 0;
  #secrets = 0;
  #attempts = 0;

  constructor(plan: Plan, choices: Choices, keepsLog: boolean) {
    this.plan = plan;
    this.choices = choices;
    this.machine = new Machine(keepsLog);
    this.store = new ModelStore(this.machine);
    this.#faults = [...plan.faults];
    this.machine.log(JSON.stringify(plan));
  }

  async run(): Promise<void> {
    const { machine, plan, choices } = this;
    for (const { to } of plan.storeTroubles) this.#faulty(to);
    for (let slot = 0; slot < plan.slots; slot++) {
      this.#slotSteps.push(0);
      this.#start(slot);
    }
    for (let number = 0; number < plan.events; number++) {
      const wait = number === 0 ? 0 : choices.pick(20_000);
      for (let receiver = 0; receiver < plan.receivers; receiver++) {
        machine.in(wait + 10 * receiver, undefined, 'io', 'an event', () => this.#send(`e${number}`, receiver));
      }
    }
    machine.beforeStep = (life) => this.#beforeStep(life);
    machine.isOver = () => this.#isOver();
    await machine.run(start + horizonMs);
    for (const table of this.#tables) table?.close();
  }

  violate(rule: string, what: string): void {
    this.machine.log(`VIOLATION ${rule}: ${what}`);
    this.violations.push({ rule, what });
  }

  get known(): number {
    return this.sent.length;
  }

  /** Where an event's progress would be kept. */
  keyOf(id: string, receiver: number): string {
    return `${receiver === 0 || !this.usesScopes ? 'receiver' : 'other'}:vast:${id}`;
  }

  usesScopes = false;

  #faulty(at: number): void {
    this.lastFaultAt = Math.max(this.lastFaultAt, start + at);
  }

  #faultNow(ms = 0): void {
    this.lastFaultAt = Math.max(this.lastFaultAt, this.machine.now + ms);
  }

  #troubleNow() {
    const at = this.machine.now - start;
    return this.plan.storeTroubles.find(({ from, to }) => from <= at && at < to);
  }

  #start(slot: number): void {
    const { plan, machine } = this;
    const life = new Life(`p${slot}.${this.runnings.length}`, machine);
    for (const { from, to } of plan.storeTroubles) life.away.push([start + from, start + to]);
    const running: Running = {
      life,
      endpoints: [],
      outboxes: [],
      open: new Set(),
      requests: 0,
      outcomes: 0,
      closing: undefined,
    };
    this.#slots[slot] = running;
    this.runnings.push(running);
    const store: IdempotencyStore =
      plan.store === 'memory' ? memoryStoreOn(life.clock, 1_000) : clientOf(this.store, life, () => this.#nextFare());
    const endpoints: Endpoint<VastEvent>[] = [];
    const outboxes: Outbox<VastEvent>[] = [];
    for (let receiver = 0; receiver < plan.receivers; receiver++) {
      const sinks = plan.sinks.map((kind, number) => this.#sink(running, kind, receiver, number, outboxes));
      const options = {
        store,
        sinks,
        handoff: plan.handoff,
        leaseMs,
        now: () => life.clock.date(),
        onOutcome: () => {
          running.outcomes++;
        },
        onError: (error: Error) => machine.log(`${life.name}: onError ${error.message}`),
      };
      const secret = plan.secretFunction ? () => this.#secret(life) : 'secret-0';
      const make = (more: object) => new Endpoint<VastEvent>(vast, secret, { ...options, ...more }, life.clock);
      try {
        endpoints.push(make(this.usesScopes && receiver > 0 ? { scope: 'other' } : {}));
      } catch (error) {
        // Which is what it shall say of two receivers that would share what they remember.
        if (!(error instanceof TypeError) || receiver === 0) throw error;
        this.usesScopes = true;
        endpoints.push(make({ scope: 'other' }));
      }
    }
    Object.assign(running, { endpoints, outboxes });
    machine.log(`${life.name} starts`);
  }

  #nextFare() {
    const { oneCall, isSmall } = this.plan;
    const at = this.#storeCalls++;
    if (!isSmall) return storeFare(this.choices, this.#troubleNow());
    if (oneCall?.at !== at) return { there: 1, back: 1, end: 'ok' } as const;
    this.#faultNow(oneCall.fare.back);
    return oneCall.fare;
  }

  /** It may change while it is being fetched. */
  #secret(life: Life): Promise<string[]> {
    // The one before is still good, or what is on its way at the rotation would be lost.
    const given = [`secret-${this.#secrets}`, `secret-${Math.max(0, this.#secrets - 1)}`];
    return new Promise((resolve) => {
      life.io(1 + this.choices.pick(50), 'the secret', () => resolve(given));
    });
  }

  // ---- sinks

  #sink(running: Running, kind: SinkKind, receiver: number, number: number, outboxes: Outbox<VastEvent>[]) {
    const { clock } = running.life;
    const name = `s${number}${receiver === 0 ? '' : '-other'}`;
    const onError = (error: Error) => this.machine.log(`${running.life.name}: onError ${error.message}`);
    const plain = this.#plain(running, kind, receiver, name);
    const everyMs = this.plan.windowMs;
    if (kind === 'digest') return this.#taking(running, receiver, digestOn(clock, { everyMs, onError }, plain));
    if (kind === 'quiet') return this.#taking(running, receiver, quietOn(clock, { perMinute: 1, onError }, plain));
    if (kind === 'plain') return plain;
    this.#tables[number] ??= openTable();
    const table = this.#tables[number] as Table;
    const trouble = () => this.#troubleNow() !== undefined && this.choices.chance(30);
    const outbox = sqliteOutboxOn<VastEvent>(clock, table.handle(trouble), {
      sinks: [{ ...plain, name: `${name}-inner` }],
      name,
      leaseMs,
      onError,
    });
    outboxes.push(outbox);
    return outbox;
  }

  /** Notes what is taken before it is told. */
  #taking(running: Running, receiver: number, sink: Sink<VastEvent>): Sink<VastEvent> {
    return {
      ...sink,
      deliver: (event, context) => {
        const result = sink.deliver(event, context);
        if (result === undefined) {
          const sent = this.sent.find(({ id, receiver: its }) => id === event.event_id && its === receiver);
          sent?.takenBy.set(sink.name, running.life);
        }
        return result;
      },
    };
  }

  #plain(running: Running, kind: SinkKind, receiver: number, name: string): Sink<VastEvent> {
    return {
      name,
      deliver: (event, context) => this.#deliver(running, kind, receiver, name, event, context),
    };
  }

  #tell(running: Running, kind: Told['kind'], receiver: number, sink: string, ids: readonly string[]) {
    const { life } = running;
    const { now } = this.machine;
    const told = ids.map((id): Told => {
      const seen = undefined;
      return { id, receiver, sink, kind, life, at: now, effectAt: undefined, settledAt: undefined, seen };
    });
    this.told.push(...told);
    this.machine.log(`  ${life.name} tells ${sink} of ${ids.join(' ')}`);
    const settle = (seen: 'ok' | 'failed') => {
      for (const one of told) {
        one.seen ??= seen;
        one.settledAt ??= this.machine.now;
      }
    };
    const takes = () => {
      this.machine.log(`  ${sink} takes ${ids.join(' ')}`);
      for (const one of told) one.effectAt = this.machine.now;
    };
    return { settle, takes };
  }

  #deliver(
    running: Running,
    kind: SinkKind,
    receiver: number,
    name: string,
    event: object,
    { signal }: SinkContext,
  ): Promise<void> | void {
    const { choices, plan } = this;
    const { event_id, event_ids = [event_id] } = event as { event_id: string; event_ids?: readonly string[] };
    const { settle, takes } = this.#tell(running, kind, receiver, name, event_ids);
    const fare = this.#sinkFare(name);
    if (fare !== 'ok' && fare !== 'atOnce') this.#faultNow();
    if (fare === 'atOnce') {
      takes();
      settle('ok');
      return;
    }
    if (fare === 'throws') {
      settle('failed');
      throw new Error('thrown');
    }
    const ms =
      fare === 'late'
        ? 7_000 + (plan.isSmall ? 5_000 : choices.pick(8_000))
        : fare === 'veryLate'
          ? 20_000 + (plan.isSmall ? 25_000 : choices.pick(60_000))
          : 1 + (plan.isSmall ? 10 * choices.pick(2) : choices.pick(choices.chance(20) ? 3_000 : 100));
    if (fare !== 'fails' && fare !== 'hangs') this.machine.in(ms / 2, undefined, 'io', `${name}`, takes);
    return new Promise((resolve, reject) => {
      const heedsSignal = plan.isSmall || choices.chance(70);
      if (heedsSignal) {
        const stop = () => {
          settle('failed');
          reject(signal.reason);
        };
        if (signal.aborted) stop();
        signal.addEventListener('abort', stop, { once: true });
      }
      if (fare === 'hangs') return;
      running.life.io(ms, `${name} answers`, () => {
        if (fare !== 'ok') this.#faultNow();
        const isOk = fare !== 'fails' && fare !== 'seemsToFail';
        settle(isOk ? 'ok' : 'failed');
        if (isOk) resolve();
        else reject(new Error(fare));
      });
    });
  }

  #sinkFare(name: string): SinkFare {
    const { plan, choices } = this;
    if (plan.isSmall) {
      const first = this.told.filter(({ sink }) => sink === name).length === 1;
      return first && plan.oneSink?.name === name ? plan.oneSink.fare : 'ok';
    }
    // All comes to its end.
    return sinkFare(choices, this.machine.now - start > 60_000 ? 0 : plan.sinkTrouble);
  }

  handle(running: Running, receiver: number, id: string, done: (answer: HandlerAnswer) => void): void {
    const { choices } = this;
    const { settle, takes } = this.#tell(running, 'handler', receiver, 'handler', [id]);
    const fare = this.#sinkFare('handler');
    if (fare !== 'ok') this.#faultNow();
    if (fare === 'hangs') return;
    const ms = fare === 'late' ? 9_000 : fare === 'veryLate' ? 20_000 + choices.pick(60_000) : 1 + choices.pick(200);
    running.life.io(ms, 'the handler ends', () => {
      if (fare !== 'ok') this.#faultNow();
      const isOk = fare !== 'fails' && fare !== 'seemsToFail' && fare !== 'throws';
      if (fare !== 'fails') takes();
      settle(isOk ? 'ok' : 'failed');
      done(isOk ? { status: 204 } : fare === 'throws' ? { status: 0, error: new Error('thrown') } : { status: 500 });
    });
  }

  // ---- the sender

  #send(id: string, receiver: number): void {
    const since = this.machine.now;
    const sent: Sent = {
      id,
      receiver,
      since,
      doneAt: undefined,
      status: undefined,
      attempts: 0,
      waitMs: 0,
      takenBy: new Map(),
    };
    this.sent.push(sent);
    this.#attempt(sent);
    if (this.choices.chance(this.plan.senderTrouble)) {
      this.machine.in(this.choices.pick(3_000), undefined, 'io', 'the same again', () => this.#attempt(sent, true));
    }
    if (this.choices.chance(this.plan.senderTrouble)) {
      const ms = 1_000 * this.choices.pick(100);
      this.machine.in(ms, undefined, 'io', 'an echo', () => this.#attempt(sent, true));
    }
  }

  /** One request, to whichever process there is. */
  #attempt(sent: Sent, isEcho = false): void {
    const { machine, plan, choices } = this;
    if (sent.doneAt !== undefined && !isEcho) return;
    sent.attempts++;
    const slot =
      plan.slots === 1 ? 0 : plan.isSmall && this.#attempts++ >= 4 ? this.#attempts % 2 : choices.pick(plan.slots);
    const running = this.#slots[slot] as Running;
    const isCalm = machine.now > this.lastFaultAt;
    const again = () => {
      if (isEcho) return;
      // What lasts for minutes is asked for less and less often, or most of what is simulated would be that.
      const calmMs = sent.attempts < 20 ? 1_000 : sent.attempts < 40 ? 3_000 : 6_000;
      const ms = plan.isSmall || isCalm ? calmMs : 300 + choices.pick(3_000);
      sent.waitMs = ms;
      machine.in(ms, undefined, 'io', `${sent.id} is sent again`, () => this.#attempt(sent));
    };
    if (!running.life.isAlive || running.life.isClosing) {
      again();
      return;
    }
    const body = Buffer.from(JSON.stringify({ event_id: sent.id, notif_type: 'outbid', subject: '', message: '' }));
    const timestamp = Math.floor((1_790_000_000_000 + machine.now) / 1_000);
    const exchange = new SimExchange(this, running, sent, body, {
      'x-vast-timestamp': String(timestamp),
      'x-vast-signature-256': sign(body, `secret-${this.#secrets}`, timestamp),
    });
    exchange.answered = (status) => {
      machine.log(`  ${sent.id} at ${running.life.name}: ${status}`);
      if (status === 0) {
        again();
        return;
      }
      this.#judge(sent, status);
      const isTaken = status < 300;
      if (isTaken || (status < 500 && status !== 408 && status !== 429)) {
        sent.doneAt ??= machine.now;
        sent.status ??= status;
      } else {
        again();
      }
    };
    const patience =
      !plan.isSmall && machine.now < start + 40_000 && choices.chance(plan.senderTrouble / 2)
        ? choices.pick(10_000)
        : 10_000;
    exchange.patience = machine.in(patience, undefined, 'io', `${sent.id} hangs up`, () => exchange.hangUp());
    running.life.io(0.5, `request ${sent.id}`, () => {
      if (exchange.isOver) return;
      running.requests++;
      (running.endpoints[sent.receiver] as Endpoint<VastEvent>).serve(exchange);
    });
  }

  /** A 2xx is a promise. */
  #judge(sent: Sent, status: number): void {
    if (status >= 300 && status < 500 && status !== 408 && status !== 429) {
      this.violate('never a 4xx that a retry would mend', `${sent.id} was answered ${status}`);
    }
    if (status >= 300 || this.plan.handoff) return;
    this.plan.sinks.forEach((kind, number) => {
      const sink = `s${number}${sent.receiver === 0 ? '' : '-other'}`;
      const has = this.told.some(
        (told) => told.id === sent.id && told.sink === sink && told.receiver === sent.receiver && told.effectAt,
      );
      const isSafe =
        has || kind === 'outbox' ? has || (this.#tables[number] as Table).has(sent.id) : sent.takenBy.has(sink);
      if (!isSafe)
        this.violate('a 2xx only when it is safe', `${sent.id} was answered ${status} before ${sink} had it`);
    });
  }

  // ---- faults

  #beforeStep(life: Life): void {
    const slot = this.#slots.findIndex((running) => running.life === life);
    if (slot === -1) return;
    const steps = (this.#slotSteps[slot] ?? 0) + 1;
    this.#slotSteps[slot] = steps;
    for (const fault of this.#faults) {
      if (fault.slot !== slot || fault.atStep > steps) continue;
      this.#faults.splice(this.#faults.indexOf(fault), 1);
      this.#fault(fault, slot);
      break;
    }
  }

  #fault({ kind, ms }: Fault, slot: number): void {
    const running = this.#slots[slot] as Running;
    const { life } = running;
    this.machine.log(`FAULT ${kind} ${life.name} ${ms}`);
    this.#faultNow();
    if (kind === 'kill') this.#kill(slot, ms / 20);
    else if (kind === 'freeze' || kind === 'block') this.#standStill(life, ms);
    else if (kind === 'close') this.#close(slot, ms);
    else if (kind === 'rotate') this.#rotate();
    else if (kind === 'step') this.#stepClock(life, ms);
    else if (kind === 'forget') {
      this.store.forget();
      this.forgotAt.push(this.machine.now);
    } else {
      life.cutOff();
      this.#hangUpAll(running);
    }
  }

  #standStill(life: Life, ms: number): void {
    life.standStill(ms);
    this.#faultNow(ms);
  }

  #rotate(): void {
    if (this.plan.secretFunction) this.#secrets++;
  }

  #stepClock(life: Life, ms: number): void {
    life.wallOffset += ms % 2_000 === 0 ? ms : -ms;
    this.steppedAt.push(this.machine.now);
  }

  #kill(slot: number, restartMs: number): void {
    const running = this.#slots[slot] as Running;
    if (!running.life.isAlive) return;
    running.life.die();
    this.#hangUpAll(running);
    this.#faultNow(restartMs);
    this.machine.in(restartMs, undefined, 'io', 'restart', () => this.#start(slot));
  }

  #hangUpAll({ open }: Running): void {
    for (const exchange of [...open]) exchange.hangUp();
  }

  #close(slot: number, ms: number): void {
    const running = this.#slots[slot] as Running;
    const { life } = running;
    if (!life.isAlive || running.closing !== undefined) return;
    // An even number of seconds is waited without an end.
    const timeoutMs = ms % 2_000 === 0 ? undefined : ms;
    const closing = { at: this.machine.now, timeoutMs, isDone: false };
    running.closing = closing;
    life.isClosing = true;
    const close = async () => {
      await Promise.all(running.endpoints.map((endpoint) => endpoint.close(timeoutMs)));
      await Promise.all(running.outboxes.map((outbox) => outbox.close(timeoutMs)));
    };
    const end = () => {
      closing.isDone = true;
      this.machine.log(`${life.name} has closed`);
      this.#faultNow();
      this.#endLife(slot, timeoutMs !== undefined);
    };
    // In a step of its own, of the process.
    life.io(0, 'close()', () => {
      close().then(end);
    });
  }

  /** An end that was waited for is no fault: it explains nothing. */
  #endLife(slot: number, isFault: boolean): void {
    const running = this.#slots[slot] as Running;
    const ends = running.life.ends.length;
    running.life.die();
    if (!isFault) running.life.ends.length = ends;
    this.#hangUpAll(running);
    this.machine.in(500, undefined, 'io', 'restart', () => this.#start(slot));
  }

  #isOver(): boolean {
    for (const [slot, running] of this.#slots.entries()) {
      const { closing, life } = running;
      if (closing === undefined || closing.isDone || !life.isAlive) continue;
      if (!life.isHeld && running.open.size === 0) {
        this.violate('close() resolves', `${life.name} would end with status 13 before its close() has resolved`);
        closing.isDone = true;
        this.#endLife(slot, true);
      } else if (closing.timeoutMs !== undefined && life.away.length === 0) {
        const most = closing.timeoutMs * (1 + running.outboxes.length) + 100;
        if (this.machine.now > closing.at + most) {
          this.violate('close() resolves', `${life.name} did not close in ${closing.timeoutMs} ms`);
          closing.isDone = true;
        }
      }
    }
    if (this.violations.length > 0) return true;
    if (this.sent.length < this.plan.events * this.plan.receivers) return false;
    if (!this.sent.every(({ doneAt }) => doneAt !== undefined)) return false;
    return this.isIdle;
  }

  /** Nothing is going to happen any more, but for an outbox that looks at its rows. */
  get isIdle(): boolean {
    return this.#slots.every((running) => {
      const { life, outboxes, open, closing } = running;
      if (open.size > 0 || (closing !== undefined && !closing.isDone) || !life.isAlive) return false;
      if (life.standsStillUntil > this.machine.now) return false;
      if (life.count('io') > 0 || life.count('timer') > 0 || life.count('unref') > outboxes.length) return false;
      return outboxes.length === 0 || this.#tables.every((table) => table === undefined || table.isDone());
    });
  }

  get tables(): readonly (Table | undefined)[] {
    return this.#tables;
  }

  get slots(): readonly Running[] {
    return this.#slots;
  }
}

/** One request as the front doors present it, from both of its ends. */
class SimExchange implements Exchange<VastEvent> {
  readonly method = 'POST';
  readonly url = '/vast/webhooks';
  readonly #world: World;
  readonly #running: Running;
  readonly #sent: Sent;
  readonly #body: Buffer;
  readonly #headers: Readonly<Record<string, string>>;
  /** What the sender hears: 0 when the connection broke. */
  answered: (status: number) => void = () => {};
  /** For the sender. */
  isOver = false;
  patience: Happening | undefined;
  #answers = 0;
  #late: (() => void) | undefined;

  constructor(world: World, running: Running, sent: Sent, body: Buffer, headers: Readonly<Record<string, string>>) {
    this.#world = world;
    this.#running = running;
    this.#sent = sent;
    this.#body = body;
    this.#headers = headers;
    running.open.add(this);
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  readBody(_limit: number, _timeoutMs: number, done: OnBody): void {
    this.#running.life.io(0.2, 'body', () => done(undefined, this.#body));
  }

  answer({ status }: Answer): number {
    this.#answers++;
    if (this.#answers > 1) this.#world.violate('one outcome a request', `${this.#sent.id} was answered twice`);
    this.#respond(status);
    return status;
  }

  handOn({ delivery }: Received<VastEvent>, settle: (answer: HandlerAnswer) => void): void {
    this.#world.handle(this.#running, this.#sent.receiver, delivery.id, (answer) => {
      const respond = () => this.#respond(answer.status === 0 ? 500 : answer.status);
      if (this.#world.plan.answersFirst) respond();
      else this.#late = respond;
      settle(answer);
    });
  }

  settled(): void {
    this.#answers++;
    if (this.#answers > 1) this.#world.violate('one outcome a request', `${this.#sent.id} was settled twice`);
    this.#late?.();
  }

  working(): (() => void) | undefined {
    return undefined;
  }

  /** The sender, its patience, or the process at the other end. */
  hangUp(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#running.open.delete(this);
    this.answered(0);
  }

  #respond(status: number): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#running.open.delete(this);
    if (this.patience !== undefined) this.#world.machine.cancel(this.patience);
    this.#world.machine.in(0.3, undefined, 'io', 'answer', () => this.answered(status));
  }
}
