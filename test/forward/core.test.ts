import { describe, expect, it } from 'vitest';
import { WebhookError } from '../../src/contracts/errors.js';
import { Core, type Effects, type Held, type Operation, type SinkState } from '../../src/forward/core.js';

const leaseMs = 30_000;
const sinks = [{ name: 'slack' }, { name: 'audit' }, { name: 'chat' }];
const minutes = 60_000;

/** The same numbers each time: mulberry32. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** A core without clock, store and sinks: its calls are answered in any order and in any way. */
class World implements Effects {
  readonly core: Core;
  readonly #random: (below: number) => number;
  #now = 1_000;
  #wakeAt = Number.POSITIVE_INFINITY;
  /** Calls that are not answered yet. */
  readonly #asked: (() => void)[] = [];
  readonly log: string[] = [];
  readonly taken = new Set<number>();
  readonly remembered = new Set<number>();
  replies: (WebhookError | undefined)[] = [];
  isCompleted = false;
  #isGone = false;
  overs = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    const deadlineAt = this.#random(2) === 0 ? this.#now + 8_000 : Number.POSITIVE_INFINITY;
    this.core = new Core(this, { leaseMs, sinks }, deadlineAt, this.#random(2) === 0);
  }

  run(): void {
    const states: SinkState[] = ['due', 'due', 'due', 'skipped', 'already', 'remembered', new Error('no')];
    this.core.claimed(
      sinks.map(() => states[this.#random(states.length)] as SinkState),
      this.#random(8) === 0,
    );
    for (let step = 0; step < 10_000; step++) {
      const isEnd = this.core.phase === 'over' && this.#asked.length === 0;
      if (isEnd) return;
      if (this.#asked.length > 0 && (this.#random(3) > 0 || this.#wakeAt === Number.POSITIVE_INFINITY)) {
        this.#asked.splice(this.#random(this.#asked.length), 1)[0]?.();
      } else {
        expect(this.#wakeAt, `it waits for nothing: ${this.core.phase}`).toBeLessThan(Number.POSITIVE_INFINITY);
        this.#now = Math.max(this.#now, this.#wakeAt);
        this.#wakeAt = Number.POSITIVE_INFINITY;
        this.core.tick();
      }
    }
    expect.fail(`it never ends: ${this.log.slice(-10).join(', ')}`);
  }

  now(): number {
    return this.#now;
  }

  wake(at: number): void {
    expect(this.overs).toBe(0);
    this.#wakeAt = at;
  }

  deliver(sink: number): void {
    this.log.push(`deliver ${sink}`);
    expect([this.core.phase, this.core.lease]).toEqual(['delivering', 'held']);
    this.#later(() => {
      const error = this.#random(3) === 0 ? new Error('down') : undefined;
      if (error === undefined) this.taken.add(sink);
      this.core.settled(sink, error);
    });
  }

  ask(operation: Operation, sink?: number): void {
    this.log.push(`${operation} ${sink ?? ''}`);
    expect(this.overs, 'nothing is asked for when it is over').toBe(0);
    expect(this.core.lease, 'what is lost is left alone').not.toBe('lost');
    if (operation === 'complete') expect(this.core.sinks.every((state) => typeof state === 'string')).toBe(true);
    this.#later(() => {
      const away = new WebhookError('store_unavailable', 'away');
      const held = this.#isGone ? false : [true, true, true, false, away][this.#random(5)];
      // What another process has claimed does not come back.
      this.#isGone ||= held === false;
      if (operation === 'complete' && held === true) this.isCompleted = true;
      this.core.stored(operation, held as Held, sink);
    });
  }

  callHandler(): void {
    this.log.push('callHandler');
    expect([this.core.reply, this.core.sinks.some((state) => state instanceof Error)]).toEqual(['due', false]);
    if (this.#random(4) > 0) this.#later(() => this.core.handled([204, 500][this.#random(2)] as number));
  }

  reply(error?: WebhookError): void {
    this.log.push(`reply ${error?.code}`);
    this.replies.push(error);
  }

  report(error: Error): void {
    expect(error).toBeInstanceOf(Error);
  }

  abort(): void {
    expect(this.core.lease).not.toBe('held');
  }

  remember(sink?: number): void {
    for (const index of sinks.keys()) {
      if (sink === undefined ? this.core.isDelivered(index) : index === sink) this.remembered.add(index);
    }
  }

  over(): void {
    this.log.push('over');
    this.overs++;
  }

  /** At once, or whenever it pleases. */
  #later(answer: () => void): void {
    if (this.#random(3) === 0) answer();
    else this.#asked.push(answer);
  }
}

describe('an event, whatever is answered in whatever order,', () => {
  it('is answered once and ends once, and its deliveries are completed or remembered', () => {
    const phases = new Set<string>();
    for (let seed = 1; seed <= 2_000; seed++) {
      const world = new World(seed);
      try {
        world.run();
        expect(world.overs).toBe(1);
        expect(world.replies).toHaveLength(1);
        if (!world.isCompleted) for (const sink of world.taken) expect(world.remembered).toContain(sink);
        const [error] = world.replies;
        const isFailed = world.core.sinks.some((state) => state instanceof Error);
        if (error === undefined) expect(isFailed && world.core.lease === 'held').toBe(false);
        phases.add(`${world.core.lease} ${error?.code}`);
      } catch (error) {
        throw new Error(`seed ${seed}: ${world.log.join(', ')}`, { cause: error });
      }
    }
    // So that most of it is walked through.
    expect(phases.size).toBeGreaterThan(12);
  });

  it('is woken in time for its renewals, its deadline and its end', () => {
    const wakes: number[] = [];
    const ask: Operation[] = [];
    let now = 0;
    const core: Core = new Core(
      {
        now: () => now,
        wake: (at) => void wakes.push(at),
        deliver: () => {},
        ask: (operation) => {
          ask.push(operation);
          core.stored(operation, true);
        },
        callHandler: () => {},
        reply: () => {},
        report: () => {},
        abort: () => {},
        remember: () => {},
        over: () => {},
      },
      { leaseMs, sinks: [{ name: 'slack' }] },
      8_000,
      false,
    );
    core.claimed(['due'], false);
    while (core.phase !== 'over') {
      now = wakes.at(-1) as number;
      core.tick();
    }
    expect(wakes.slice(0, 4)).toEqual([8_000, 10_000, 20_000, 30_000]);
    expect(now).toBe(5 * minutes);
    expect(ask).toEqual([...Array(29).fill('renew'), 'release']);
  });
});
