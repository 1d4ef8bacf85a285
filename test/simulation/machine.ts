import type { Clock, Timer } from '../../src/util/clock.js';

/** Something that will happen. `life` is the process that it happens in, if it is one. */
export interface Happening {
  at: number;
  /** Of two at one time, the lower one is first. */
  order: number;
  readonly life: Life | undefined;
  /** What keeps a process alive: everything but unreferenced timers. */
  readonly kind: 'timer' | 'unref' | 'io';
  readonly what: string;
  readonly run: () => void;
  /** What goes one way keeps its order, such as what one connection carries. */
  readonly lane: string | undefined;
  isOver: boolean;
}

/** Virtual time, and the order in which everything happens. */
export class Machine {
  now = 1_000_000;
  steps = 0;
  readonly lines: string[] | undefined;
  /** What happened last, when so much happens that time does not go on. */
  busyWith: string | undefined;
  readonly #heap: Happening[] = [];
  #order = 0;
  #stepsAtOnce = 0;
  readonly #afterTurn: (() => void)[] = [];
  /** Called before each step of a process. */
  beforeStep: (life: Life) => void = () => {};
  /** Called after each step; true ends the run. */
  isOver: () => boolean = () => false;
  /** Which of `n` things that could happen next does. Without it, what is first in time. */
  choose: ((n: number) => number) | undefined;

  constructor(keepsLog: boolean) {
    this.lines = keepsLog ? [] : undefined;
  }

  log(text: string): void {
    this.lines?.push(`${((this.now - 1_000_000) / 1_000).toFixed(4)} ${text}`);
  }

  in(
    ms: number,
    life: Life | undefined,
    kind: Happening['kind'],
    what: string,
    run: () => void,
    lane?: string,
  ): Happening {
    const happening = { at: this.now + ms, order: this.#order++, life, kind, what, run, lane, isOver: false };
    life?.pending.add(happening);
    this.#push(happening);
    return happening;
  }

  cancel(happening: Happening): void {
    happening.isOver = true;
    happening.life?.pending.delete(happening);
  }

  /** Each step in a turn of its own, so that all promises that it resolves have gone on before the next. */
  run(untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let asked = 0;
      let isOver = false;
      const end = () => {
        isOver = true;
        resolve();
      };
      const turn = () => {
        asked--;
        if (isOver) return;
        try {
          if (this.#afterTurn.length > 0) for (const run of this.#afterTurn.splice(0)) run();
          this.#turn(untilMs, end);
        } catch (error) {
          isOver = true;
          reject(error);
        }
        if (asked === 0 && !isOver) ask();
      };
      // Promises go on between two of them, and to ask for many at a time spares most runs of the event loop.
      const ask = () => {
        for (; asked < turnsAtOnce; asked++) setImmediate(turn);
      };
      ask();
    });
  }

  /** Runs when everything that the current step leads to at once has happened. */
  afterTurn(run: () => void): void {
    this.#afterTurn.push(run);
  }

  #turn(untilMs: number, end: () => void): void {
    for (;;) {
      const happening = this.isOver() ? undefined : this.#next();
      if (happening === undefined || happening.at > untilMs || this.#isBusy(happening)) {
        end();
        return;
      }
      this.now = Math.max(this.now, happening.at);
      if (this.#step(happening)) return;
    }
  }

  /** Whether things go on without end at one time. */
  #isBusy({ at, life, what }: Happening): boolean {
    this.#stepsAtOnce = at > this.now ? 0 : this.#stepsAtOnce + 1;
    if (this.#stepsAtOnce < mostAtOnce) return false;
    this.busyWith = `${life?.name ?? 'world'}: ${what}`;
    return true;
  }

  #step(happening: Happening): boolean {
    const { life } = happening;
    if (life !== undefined) {
      if (!life.isAlive) return false;
      if (life.standsStillUntil <= this.now) this.beforeStep(life);
      if (!life.isAlive || happening.isOver) return false;
      if (life.isSuspended) {
        life.parked.push(happening);
        return false;
      }
      if (life.standsStillUntil > this.now) {
        happening.at = life.standsStillUntil;
        // Timers that have become due run first, as in Node.js.
        if (happening.kind === 'io') happening.at += 0.01;
        this.#push(happening);
        return false;
      }
      life.pending.delete(happening);
    }
    this.steps++;
    if (this.lines !== undefined) this.log(`${life?.name ?? 'world'}: ${happening.what}`);
    happening.isOver = true;
    happening.run();
    return true;
  }

  /** Lets an isolate go on: what has become due meanwhile happens now, timers first. */
  thaw(life: Life): void {
    life.isSuspended = false;
    for (const happening of life.parked.splice(0)) {
      happening.at = this.now + (happening.kind === 'io' ? 0.01 : 0);
      this.#push(happening);
    }
  }

  /** What lies so close together can come in any order, but for timers and what one connection carries. */
  #next(): Happening | undefined {
    const first = this.#pop();
    if (first === undefined || first.kind !== 'io' || this.choose === undefined) return first;
    const close = [first];
    for (;;) {
      const next = this.#pop();
      if (next === undefined) break;
      if (next.kind === 'io' && next.at <= first.at + closeMs) {
        close.push(next);
        continue;
      }
      this.#push(next);
      break;
    }
    const candidates = close.filter(
      ({ lane }, i) => lane === undefined || !close.slice(0, i).some((earlier) => earlier.lane === lane),
    );
    const chosen = candidates.length === 1 ? first : (candidates[this.choose(candidates.length)] as Happening);
    for (const other of close) if (other !== chosen) this.#push(other);
    chosen.at = first.at;
    return chosen;
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let i = heap.push(happening) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(happening, heap[parent] as Happening)) break;
      heap[i] = heap[parent] as Happening;
      i = parent;
    }
    heap[i] = happening;
  }

  #pop(): Happening | undefined {
    for (;;) {
      const heap = this.#heap;
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return undefined;
      if (heap.length > 0) {
        let i = 0;
        for (;;) {
          let child = 2 * i + 1;
          if (child >= heap.length) break;
          if (child + 1 < heap.length && isBefore(heap[child + 1] as Happening, heap[child] as Happening)) child++;
          if (!isBefore(heap[child] as Happening, last)) break;
          heap[i] = heap[child] as Happening;
          i = child;
        }
        heap[i] = last;
      }
      if (!first.isOver) return first;
    }
  }
}

const turnsAtOnce = 32;

/** Far more than happens at one time in any world. */
const mostAtOnce = 10_000;

/** More than any way of a small world takes. */
const closeMs = 1.5;

function isBefore(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** One life of a process: what it remembers ends with it. */
export class Life {
  readonly name: string;
  readonly machine: Machine;
  readonly clock: Clock;
  isAlive = true;
  /** No longer listening. */
  isClosing = false;
  standsStillUntil = 0;
  /** An isolate that has no request: it stands still until the next one. */
  isSuspended = false;
  readonly parked: Happening[] = [];
  suspendedAt = 0;
  wasAtWork = false;
  /** An isolate whose digest has reported that what it holds waits for another request. */
  waitsForRequest = false;
  /** How many requests it has had. */
  attempts = 0;
  wallOffset = 0;
  readonly pending = new Set<Happening>();
  /** When it died, and when an isolate lost all that it was at. */
  readonly ends: number[] = [];
  /** When it stood still, or could not reach the store. */
  readonly away: [from: number, to: number][] = [];
  readonly stood: [from: number, to: number][] = [];

  constructor(name: string, machine: Machine) {
    this.name = name;
    this.machine = machine;
    const timer = (kind: 'timer' | 'unref') => (run: () => void, ms: number) =>
      machine.in(ms >= 1 ? ms : 1, this, kind, 'timer', run) as unknown as Timer;
    this.clock = {
      now: () => machine.now,
      date: () => 1_790_000_000_000 + Math.floor(machine.now) + this.wallOffset,
      timeout: timer('timer'),
      unrefTimeout: timer('unref'),
      clear(pending) {
        if (pending !== undefined) machine.cancel(pending as unknown as Happening);
      },
      immediate: (run) => {
        machine.in(0, this, 'io', 'immediate', run);
      },
    };
  }

  /** What happens in this process, from outside, unless it is dead by then. */
  io(ms: number, what: string, run: () => void, lane?: string): void {
    this.machine.in(ms, this, 'io', what, run, lane);
  }

  standStill(ms: number): void {
    const { now } = this.machine;
    this.standsStillUntil = Math.max(this.standsStillUntil, now + ms);
    this.away.push([now, now + ms]);
    this.stood.push([now, now + ms]);
  }

  die(): void {
    this.isAlive = false;
    this.cutOff();
  }

  /** Timers, sockets and promises of an isolate end, and its memory stays. */
  cutOff(): void {
    this.ends.push(this.machine.now);
    for (const happening of this.pending) happening.isOver = true;
    this.pending.clear();
    this.parked.length = 0;
  }

  /** Whether anything keeps a process alive that nobody connects to any more. */
  get isHeld(): boolean {
    for (const { kind } of this.pending) if (kind !== 'unref') return true;
    return false;
  }

  count(kind: Happening['kind']): number {
    let count = 0;
    for (const happening of this.pending) if (happening.kind === kind) count++;
    return count;
  }
}
