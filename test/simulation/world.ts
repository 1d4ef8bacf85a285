import { catchUp } from '../../src/catch-up/index.js';
import { stateKeyOf } from '../../src/catch-up/state.js';
import type { HandlerAnswer, Outcome } from '../../src/contracts/result.js';
import type { Sink, SinkContext } from '../../src/contracts/sink.js';
import type { IdempotencyStore } from '../../src/contracts/store.js';
import { Endpoint } from '../../src/endpoint.js';
import { intakeOf } from '../../src/intake.js';
import type { ForwarderOptions } from '../../src/options.js';
import { type Outbox, sqliteOutboxOn } from '../../src/outbox/sqlite-outbox.js';
import { type VastEvent, vast } from '../../src/providers/vast.js';
import { createForwarderOn, type Forwarder } from '../../src/queue/create-forwarder.js';
import { sign } from '../../src/receive/signature.js';
import { digestOn } from '../../src/sinks/batching/digest.js';
import { quietOn } from '../../src/sinks/batching/quiet.js';
import { memoryStoreOn } from '../../src/stores/memory/memory-store.js';
import type { Choices } from './choices.js';
import { Inbox } from './inbox.js';
import { Life, Machine } from './machine.js';
import { type Fault, type Plan, type SinkFare, type SinkKind, sinkFare, storeFare } from './plan.js';
import { Queue } from './queue.js';
import { type BodyFare, SimExchange } from './request.js';
import { openTable, type Table } from './sqlite.js';
import { clientOf, ModelStore } from './store.js';

export const leaseMs = 30_000;
export const start = 1_000_000;
/** The longest that anything is waited for: a digest is tried for 15 minutes. */
const horizonMs = 40 * 60_000;

/** One call of a sink, or of the service's handler. */
export interface Call {
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
  /** What a sink that is called directly was given to stop by. */
  signal: AbortSignal | undefined;
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
  /** How long the receiver waited for bodies that never came, or broke off. */
  lostMs: number;
  /** Where a digest has taken it before it was delivered. */
  readonly takenBy: Map<string, Life>;
}

/** What a sender was answered. */
export interface Answered {
  readonly id: string;
  readonly receiver: number;
  readonly life: Life;
  readonly at: number;
  readonly status: number;
  readonly code: string | undefined;
  /** The sinks for which it was not safe to answer 2xx. */
  readonly without: readonly string[];
}

/** One process, and what runs in it. */
export interface Running {
  readonly life: Life;
  readonly endpoints: readonly Endpoint<VastEvent>[];
  readonly outboxes: readonly Outbox<VastEvent>[];
  /** Behind the queue, by the sink that puts events there. */
  readonly workers: ReadonlyMap<string, Forwarder>;
  readonly open: Set<SimExchange>;
  /** How many promises `waitUntil` waits for. */
  waits: number;
  requests: number;
  outcomes: number;
  closing: Closing | undefined;
}

interface Closing {
  readonly at: number;
  readonly timeoutMs: number | undefined;
  isDone: boolean;
  /** What was wrong with it. */
  wrong: string | undefined;
}

export function nameOf(number: number, receiver: number): string {
  return `s${number}${receiver === 0 ? '' : '-other'}`;
}

interface Signed {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** Of all worlds, because most send the same events at the same times, and to sign costs as much as to verify. */
const requests = new Map<string, Signed>();

function signed(id: string, secret: string, timestamp: number): Signed {
  const name = `${id} ${secret} ${timestamp}`;
  let request = requests.get(name);
  if (request === undefined) {
    const body = Buffer.from(JSON.stringify({ event_id: id, notif_type: 'outbid', subject: '', message: '' }));
    const headers = {
      'x-vast-timestamp': String(timestamp),
      'x-vast-signature-256': sign(body, secret, timestamp),
    };
    request = { body, headers };
    requests.set(name, request);
  }
  return request;
}

/** For so long a platform waits for what a request has left behind. */
const waitUntilMs = 30_000;

export class World {
  readonly plan: Plan;
  readonly choices: Choices;
  readonly machine: Machine;
  readonly store: ModelStore;
  readonly calls: Call[] = [];
  readonly sent: Sent[] = [];
  readonly runnings: Running[] = [];
  readonly answers: Answered[] = [];
  /** Requests that the engine has ended, once each time. */
  readonly ended: { readonly id: string; readonly exchange: SimExchange }[] = [];
  /** Requests that were not answered until their sender gave up. */
  readonly givenUp: { readonly id: string; readonly life: Life; readonly from: number; readonly at: number }[] = [];
  /** Sinks that were not asked to stop when a renewal said that their claim was lost. */
  readonly unstopped = new Set<Call>();
  readonly queue = new Queue(this);
  readonly inbox = new Inbox(this);
  readonly forgotAt: number[] = [];
  /** When a clock was put forward. */
  readonly forwardAt: number[] = [];
  /** When the last thing went wrong, or the last one that was late came. */
  lastFaultAt = start;
  readonly #slots: Running[] = [];
  readonly #slotSteps: number[] = [];
  readonly #faults: Fault[];
  readonly #tables: (Table | undefined)[] = [];
  readonly #workerScopes = new Map<string, string>();
  #restarts = true;
  #wallOffset = 0;
  #storeCalls = 0;
  #secrets = 0;
  #rotatedAt = Number.NEGATIVE_INFINITY;
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
    if (plan.catchesUp !== 'never') this.inbox.fill();
    machine.beforeStep = (life) => this.#beforeStep(life);
    machine.isOver = () => this.#isOver();
    this.#explore();
    await machine.run(start + horizonMs);
    if (!plan.isolates && this.isIdle) await this.#closeAll();
    for (const table of this.#tables) table?.close();
  }

  /** In a small world, what is close together in time comes in any order, but for so many times. */
  #explore(): void {
    let left = this.plan.deviations;
    if (left === 0) return;
    this.machine.choose = (n) => {
      if (left === 0) return 0;
      const chosen = this.choices.pick(n);
      if (chosen > 0) left--;
      return chosen;
    };
  }

  /** What is counted in and not out would keep a service from ever ending. */
  async #closeAll(): Promise<void> {
    const { machine } = this;
    machine.beforeStep = () => {};
    for (const slot of this.#slots.keys()) this.#close(slot, 2_000);
    const isClosed = () => this.#slots.every(({ closing }) => closing === undefined || closing.isDone);
    machine.isOver = isClosed;
    this.#restarts = false;
    await machine.run(machine.now + 10_000);
    for (const { closing } of this.#slots) {
      if (closing?.isDone === false) closing.wrong = 'did not resolve when nothing was at work';
    }
  }

  /** Where an event's progress would be kept. */
  keyOf({ id, receiver, kind, sink }: Call): string {
    if (kind === 'queue') return `${this.#workerScopes.get(sink) ?? 'forwarder'}:vast:${id}`;
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
      workers: new Map(),
      open: new Set(),
      waits: 0,
      requests: 0,
      outcomes: 0,
      closing: undefined,
    };
    life.wallOffset = this.#wallOffset;
    this.#slots[slot] = running;
    this.runnings.push(running);
    const store: IdempotencyStore =
      plan.store === 'memory'
        ? memoryStoreOn(life.clock, 1_000)
        : clientOf(
            this.store,
            life,
            plan.isPooled,
            () => this.#nextFare(),
            (key) => this.#lost(life, key),
          );
    const endpoints: Endpoint<VastEvent>[] = [];
    const outboxes: Outbox<VastEvent>[] = [];
    const workers = new Map<string, Forwarder>();
    for (let receiver = 0; receiver < plan.receivers; receiver++) {
      const sinks = plan.sinks.map((kind, number) => this.#sink(running, kind, receiver, number, outboxes));
      const shared = {
        store,
        leaseMs,
        onOutcome: ({ source }: Outcome) => {
          if (source !== 'inbox') running.outcomes++;
        },
        onError: (error: Error) => machine.log(`${life.name}: onError ${error.message}`),
      };
      const options = { ...shared, sinks, handoff: plan.handoff, now: () => life.clock.date() };
      for (const [number, kind] of plan.sinks.entries()) {
        if (kind !== 'queue') continue;
        const name = nameOf(number, receiver);
        const inner = this.#plain(running, kind, receiver, name);
        const everyMs = 2_000;
        const sink = plan.worksInDigests ? digestOn(life.clock, { everyMs, onError: shared.onError }, inner) : inner;
        const onOutcome = () => {
          running.outcomes++;
        };
        workers.set(name, this.#worker(life, name, { ...shared, onOutcome, sinks: [sink] }));
      }
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
    Object.assign(running, { endpoints, outboxes, workers });
    if (plan.catchesUp !== 'never') for (const endpoint of endpoints) this.#catchUp(life, endpoint);
    machine.log(`${life.name} starts`);
  }

  #catchUp(life: Life, endpoint: Endpoint<VastEvent>): void {
    const hook = { close: () => endpoint.close(), [intakeOf]: endpoint.intake };
    catchUp(hook, {
      api: this.inbox.clientOf(life, this.plan.sinkTrouble),
      everyMs: 5_000,
      trustIds: this.plan.catchesUp === 'trusts',
    });
  }

  /** Whether every receiver's first run is remembered. */
  get knowsFirstRun(): boolean {
    const scopes = this.#slots[0]?.endpoints.map(({ settings }) => settings.scope) ?? [];
    const recorded = [...this.store.recorded.keys()];
    return scopes.every((scope) => recorded.some((name) => name.startsWith(`${stateKeyOf(scope)} since`)));
  }

  #worker(life: Life, name: string, options: ForwarderOptions<VastEvent>): Forwarder {
    const known = this.#workerScopes.get(name);
    try {
      return createForwarderOn<VastEvent>(life.clock, { ...options, scope: known });
    } catch (error) {
      // Which is what it must say of two that would share what they remember.
      if (!(error instanceof TypeError) || known !== undefined) throw error;
      const scope = `worker-${name}`;
      this.#workerScopes.set(name, scope);
      return createForwarderOn<VastEvent>(life.clock, { ...options, scope });
    }
  }

  /** A renewal has said that the claim is somebody else's: its sinks must have been asked to stop by now. */
  #lost(life: Life, key: string): void {
    for (const call of this.calls) {
      if (call.life !== life || call.settledAt !== undefined || call.signal === undefined) continue;
      // What an isolate has lost cannot be asked.
      if (life.ends.some((at) => at >= call.at)) continue;
      if (this.keyOf(call) === key && !call.signal.aborted) this.unstopped.add(call);
    }
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
    const isTroubled = this.#troubleNow() !== undefined && this.choices.chance(30);
    return new Promise((resolve, reject) => {
      // One that never comes is waited for until the deadline.
      if (isTroubled && this.choices.chance(30)) return;
      life.io(1 + this.choices.pick(50), 'the secret', () => {
        if (isTroubled) reject(new Error('no secret'));
        else resolve(given);
      });
    });
  }

  // ---- sinks

  #sink(running: Running, kind: SinkKind, receiver: number, number: number, outboxes: Outbox<VastEvent>[]) {
    const { clock } = running.life;
    const name = nameOf(number, receiver);
    if (kind === 'queue') return this.#queueing(running, receiver, name);
    const onError = ({ message }: Error) => {
      running.life.waitsForRequest ||= message.includes('wait for the next request');
      this.machine.log(`${running.life.name}: onError ${message}`);
    };
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

  /** Notes what is taken before it is delivered. */
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

  /** Puts events into the queue, which may be slow and fail before or after that. */
  #queueing({ life }: Running, receiver: number, name: string): Sink<VastEvent> {
    return {
      name,
      deliver: (_event, { delivery }) => {
        const fare = this.#sinkFare(name);
        if (fare !== 'ok' && fare !== 'atOnce') this.#faultNow();
        const ms = fare === 'late' || fare === 'veryLate' ? 9_000 : 1;
        const isTaken = fare !== 'fails' && fare !== 'throws' && fare !== 'hangs';
        const failsAfter = fare === 'seemsToFail';
        if (isTaken) {
          this.machine.in(ms / 2, undefined, 'io', `${name} keeps ${delivery.id}`, () =>
            this.queue.add(delivery, receiver, name),
          );
        }
        return new Promise((resolve, reject) => {
          life.io(ms, `${name} answers`, () => {
            if (isTaken && !failsAfter) resolve();
            else reject(new Error(fare));
          });
        });
      },
    };
  }

  #plain(running: Running, kind: SinkKind, receiver: number, name: string): Sink<VastEvent> {
    return {
      name,
      deliver: (event, context) => this.#deliver(running, kind, receiver, name, event, context),
    };
  }

  #call(
    running: Running,
    kind: Call['kind'],
    receiver: number,
    sink: string,
    ids: readonly string[],
    signal?: AbortSignal,
  ) {
    const { life } = running;
    const { now } = this.machine;
    const calls = ids.map((id): Call => {
      const none = undefined;
      return { id, receiver, sink, kind, life, at: now, effectAt: none, settledAt: none, seen: none, signal };
    });
    this.calls.push(...calls);
    this.machine.log(`  ${life.name} calls ${sink} with ${ids.join(' ')}`);
    const settle = (seen: 'ok' | 'failed') => {
      for (const one of calls) {
        one.seen ??= seen;
        one.settledAt ??= this.machine.now;
      }
    };
    const takes = () => {
      this.machine.log(`  ${sink} takes ${ids.join(' ')}`);
      for (const one of calls) one.effectAt = this.machine.now;
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
    const { settle, takes } = this.#call(
      running,
      kind,
      receiver,
      name,
      event_ids,
      kind === 'plain' ? signal : undefined,
    );
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
          : 1 + (plan.isSmall ? 0 : choices.pick(choices.chance(20) ? 3_000 : 100));
    if (fare !== 'fails' && fare !== 'hangs') this.machine.in(ms / 2, undefined, 'io', `${name}`, takes);
    return new Promise((resolve, reject) => {
      const heedsSignal = plan.isSmall || choices.chance(50);
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
      const first = this.calls.filter(({ sink }) => sink === name).length === 1;
      return first && plan.oneSink?.name === name ? plan.oneSink.fare : 'ok';
    }
    // All comes to its end.
    const untilMs = plan.catchesUp === 'never' ? 60_000 : 120_000;
    return sinkFare(choices, this.machine.now - start > untilMs ? 0 : plan.sinkTrouble);
  }

  handle(running: Running, receiver: number, id: string, done: (answer: HandlerAnswer) => void): void {
    const { choices } = this;
    const { settle, takes } = this.#call(running, 'handler', receiver, 'handler', [id]);
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
      lostMs: 0,
      takenBy: new Map(),
    };
    this.sent.push(sent);
    if (this.plan.catchesUp !== 'never' && receiver === 0) this.inbox.addDelivered(id);
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
    const slot = this.#slotFor();
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
    const timestamp = Math.floor((1_790_000_000_000 + machine.now) / 1_000);
    const { body, headers } = signed(sent.id, `secret-${this.#secrets}`, timestamp);
    const exchange = new SimExchange(this, running, sent, body, headers, this.#bodyFare());
    exchange.answered = (status, code) => {
      machine.log(`  ${sent.id} at ${running.life.name}: ${status} ${code ?? ''}`);
      if (status === 0) {
        again();
        return;
      }
      const without = status < 300 ? this.#without(sent) : [];
      const { id, receiver } = sent;
      this.answers.push({ id, receiver, life: running.life, at: machine.now, status, code, without });
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
    exchange.patience = machine.in(patience, undefined, 'io', `${sent.id} hangs up`, () => {
      const { startedAt: from, isHandedOn } = exchange;
      if (patience === 10_000 && !isHandedOn)
        this.givenUp.push({ id: sent.id, life: running.life, from, at: machine.now });
      exchange.hangUp();
    });
    if (running.life.isSuspended) this.#thaw(running);
    running.life.attempts++;
    running.life.io(0.5, `request ${sent.id}`, () => {
      if (exchange.isOver) return;
      running.requests++;
      (running.endpoints[sent.receiver] as Endpoint<VastEvent>).serve(exchange);
    });
  }

  #slotFor(): number {
    const { slots, isSmall } = this.plan;
    if (slots === 1) return 0;
    if (!isSmall) return this.choices.pick(slots);
    // Which of two that are alike comes first makes no difference, and all that matters comes soon.
    const number = this.#attempts++;
    return number > 0 && number < 4 ? this.choices.pick(slots) : number % slots;
  }

  #bodyFare(): BodyFare {
    const { choices, plan } = this;
    if (plan.isSmall || this.machine.now > start + 40_000 || !choices.chance(plan.senderTrouble / 3)) return 'ok';
    return (['late', 'never', 'aborted'] as const)[choices.pick(3)] as BodyFare;
  }

  /** The sinks that do not have an event for sure. */
  #without({ id, receiver, takenBy }: Sent): string[] {
    const has = (sink: string) =>
      this.calls.some(
        (call) => call.id === id && call.sink === sink && call.receiver === receiver && call.effectAt !== undefined,
      );
    if (this.plan.handoff) return has('handler') ? [] : ['handler'];
    const without: string[] = [];
    for (const [number, kind] of this.plan.sinks.entries()) {
      const sink = nameOf(number, receiver);
      const isKept =
        kind === 'outbox'
          ? (this.#tables[number] as Table).has(id)
          : kind === 'queue'
            ? this.queue.has(id, sink)
            : takenBy.has(sink);
      if (!isKept && !has(sink)) without.push(sink);
    }
    return without;
  }

  // ---- isolates

  /** A promise that the platform waits for after the answer, for so long as it does. */
  waitUntil(running: Running): () => void {
    running.waits++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      running.waits--;
      this.rest(running);
    };
  }

  /** Without a request, an isolate stands still, or loses what it is at, or ends. */
  rest(running: Running): void {
    const { rests } = this.plan;
    if (rests === 'never' || running.open.size > 0 || !running.life.isAlive) return;
    const { machine } = this;
    const ms = running.waits > 0 ? waitUntilMs : 1 + this.choices.pick(50);
    const { attempts } = running.life;
    machine.in(ms, undefined, 'io', `${running.life.name} rests`, () => {
      const { life } = running;
      if (!life.isAlive || life.isSuspended || running.open.size > 0 || life.attempts !== attempts) return;
      if (running.waits > 0 && ms < waitUntilMs) return;
      // Cut off in its work, which is a fault of nobody here.
      if (running.waits > 0) this.#faultNow();
      machine.log(`${life.name} ${rests}${running.waits > 0 ? ', cut off at its work' : ''}`);
      if (rests === 'ends') {
        const { lastFaultAt } = this;
        this.#kill(this.#slots.indexOf(running), 1);
        if (running.waits === 0) this.lastFaultAt = lastFaultAt;
      } else if (rests === 'loses') {
        if (life.pending.size > 0) life.cutOff();
        running.waits = 0;
      } else {
        life.isSuspended = true;
        life.suspendedAt = machine.now;
        life.wasAtWork = running.waits > 0;
      }
    });
  }

  #thaw({ life }: Running): void {
    const { machine } = this;
    machine.log(`${life.name} goes on`);
    life.away.push([life.suspendedAt, machine.now]);
    life.waitsForRequest = false;
    if (life.wasAtWork) this.#faultNow();
    machine.thaw(life);
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
    else if (kind === 'step') this.#stepClock(ms);
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
    // Two secrets are taken at a time: whoever rotates again waits until nothing comes that the oldest has signed.
    const isSoon = this.machine.now - this.#rotatedAt < 5 * 60_000;
    if (this.plan.secretFunction && !isSoon) {
      this.#secrets++;
      this.#rotatedAt = this.machine.now;
    }
    // What a forgery has not used up is fetched at once, or else within ten seconds.
    this.#faultNow(10_000);
  }

  #stepClock(ms: number): void {
    const isForward = ms % 2_000 === 0;
    // That of the machine, which all processes of an outbox share.
    this.#wallOffset += isForward ? ms : -ms;
    for (const { life } of this.#slots) life.wallOffset = this.#wallOffset;
    if (isForward) this.forwardAt.push(this.machine.now);
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
    const closing: Closing = { at: this.machine.now, timeoutMs, isDone: false, wrong: undefined };
    running.closing = closing;
    life.isClosing = true;
    const close = async () => {
      await Promise.all(running.endpoints.map((endpoint) => endpoint.close(timeoutMs)));
      await Promise.all([...running.workers.values()].map((worker) => worker.close(timeoutMs)));
      await Promise.all(running.outboxes.map((outbox) => outbox.close(timeoutMs)));
    };
    const end = () => {
      closing.isDone = true;
      if (running.endpoints.some(({ intake }) => intake.watcher !== undefined)) closing.wrong = 'left it catching up';
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
    if (!this.#restarts) return;
    this.machine.in(500, undefined, 'io', 'restart', () => this.#start(slot));
  }

  #isOver(): boolean {
    for (const [slot, running] of this.#slots.entries()) {
      const { closing, life } = running;
      if (closing === undefined || closing.isDone || !life.isAlive) continue;
      if (!life.isHeld && running.open.size === 0) {
        closing.wrong = 'would end the process with status 13 before it resolves';
        closing.isDone = true;
        this.#endLife(slot, true);
      } else if (closing.timeoutMs !== undefined && life.away.length === 0) {
        const most = closing.timeoutMs * (1 + running.outboxes.length + running.workers.size) + 100;
        if (this.machine.now > closing.at + most) {
          closing.wrong = `did not resolve in ${closing.timeoutMs} ms`;
          closing.isDone = true;
        }
      }
    }
    if (this.sent.length < this.plan.events * this.plan.receivers) return false;
    if (!this.sent.every(({ doneAt }) => doneAt !== undefined)) return false;
    if (this.plan.catchesUp !== 'never' && !this.inbox.isDone) return false;
    return this.isIdle;
  }

  /** Nothing is going to happen any more, but for an outbox that looks at its rows. */
  get isIdle(): boolean {
    if (!this.queue.isDone) return false;
    return this.#slots.every((running) => {
      const { life, outboxes, open, closing } = running;
      if (open.size > 0 || (closing !== undefined && !closing.isDone) || !life.isAlive) return false;
      if (life.standsStillUntil > this.machine.now) return false;
      if (life.isSuspended) return true;
      if (life.count('io') > 0 || life.count('timer') > 0 || life.count('unref') > outboxes.length + this.catchUps)
        return false;
      return outboxes.length === 0 || this.#tables.every((table) => table === undefined || table.isDone());
    });
  }

  /** How many timers of a process wait for the next look into the inbox. */
  get catchUps(): number {
    return this.plan.catchesUp === 'never' ? 0 : this.plan.receivers;
  }

  get tables(): readonly (Table | undefined)[] {
    return this.#tables;
  }

  get slots(): readonly Running[] {
    return this.#slots;
  }
}
