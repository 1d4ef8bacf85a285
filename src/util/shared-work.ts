import type { Clock, Timer } from './clock.js';
import { isWorkers } from './runtime.js';

/** Keeps the timers, promises and connections of one request until the promise settles: the platform's `waitUntil`. */
export type Hold = (work: Promise<unknown>) => void;

const never = Number.POSITIVE_INFINITY;

/** How long a request is held while no step runs. Cloudflare ends it 30 seconds after the answer, also during a step. */
const heldMs = 25_000;

/** How often a request that runs a step shows that it lives, and how many of these signs may be missing. */
const beatMs = 1_000;
const maxMissing = 5;

/** A request that attends to the work, or the whole process where requests do not end. */
interface Attendant {
  readonly hold: Hold | undefined;
  /** Until when the platform keeps the request, as far as we know. */
  readonly heldUntil: number;
  timer: Timer | undefined;
  /** The last sign of life that it saw of the request that runs the step. */
  seen: number;
  missing: number;
  release: () => void;
}

/**
 * Work that several requests share, in steps that become due one after the other. On Workers the timers, promises and
 * connections of a request end with it. So each request that needs the work attends to it with a timer and a promise of
 * its own, which `waitUntil` holds. The first one that sees a step due runs it. If that request ends before its step,
 * another one runs the step again.
 */
export class SharedWork {
  readonly #clock: Clock;
  readonly #step: (hold: Hold | undefined) => Promise<void>;
  readonly #attendants = new Set<Attendant>();
  /** The only attendant where requests do not end. */
  #process: Attendant | undefined;
  #runner: Attendant | undefined;
  #beats = 0;
  #dueAt = never;
  #attendedUntil = Number.NEGATIVE_INFINITY;
  #waiting: (() => void)[] = [];

  /** `step` calls `schedule()` before it resolves, and does not reject. It gets the `hold` of the request that runs it. */
  constructor(clock: Clock, step: (hold: Hold | undefined) => Promise<void>) {
    this.#clock = clock;
    this.#step = step;
  }

  /** When the next step is due. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Until when a request is held, so that due steps run. */
  get attendedUntil(): number {
    return this.#process === undefined ? this.#attendedUntil : never;
  }

  /** Sets when the next step is due. Without a time there is none, and the work is over. */
  schedule(at = never): void {
    this.#dueAt = at;
  }

  /** Ends the work, also while its step runs. */
  cancel(): void {
    this.#dueAt = never;
    this.#runner = undefined;
    this.#end();
  }

  /** Runs the step that is due. Waits for the next ones, for as long as the calling request lasts. */
  attend(hold?: Hold): void {
    if (hold === undefined && !isWorkers()) {
      this.#process ??= newAttendant(never);
      this.#look(this.#process);
      return;
    }
    const now = this.#clock.now();
    this.#dismiss(now);
    const attendant = newAttendant(now + heldMs, hold);
    this.#attendants.add(attendant);
    this.#attendedUntil = attendant.heldUntil;
    hold?.(
      new Promise<void>((resolve) => {
        attendant.release = resolve;
      }),
    );
    this.#look(attendant);
  }

  /** Resolves when the work is over. */
  over(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get #isOver(): boolean {
    return this.#dueAt === never && this.#runner === undefined;
  }

  #look(attendant: Attendant): void {
    const clock = this.#clock;
    clock.clear(attendant.timer);
    const now = clock.now();
    if (this.#runner === attendant) this.#beats++;
    else if (this.#needsRunner(attendant, now)) this.#run(attendant);
    if (this.#isOver) this.#end();
    else this.#wait(attendant, now);
  }

  #needsRunner(attendant: Attendant, now: number): boolean {
    if (now < this.#dueAt) return false;
    if (this.#runner === undefined) return true;
    if (this.#runner === this.#process) return false;
    // Signs are counted, and not timed, because a process that was blocked has seen none for a while.
    attendant.missing = attendant.seen === this.#beats ? attendant.missing + 1 : 0;
    attendant.seen = this.#beats;
    return attendant.missing > maxMissing;
  }

  #run(attendant: Attendant): void {
    this.#runner = attendant;
    this.#beats++;
    this.#step(attendant.hold).then(() => {
      if (this.#runner !== attendant) return;
      this.#runner = undefined;
      this.#look(attendant);
    });
  }

  /** Sets a timer of the calling request's own. */
  #wait(attendant: Attendant, now: number): void {
    const isHeld = now < attendant.heldUntil;
    // A platform may keep the request all the same, and then its timer still runs.
    if (!isHeld && this.#runner !== attendant) attendant.release();
    let at = now + beatMs;
    if (this.#runner === undefined) at = isHeld ? Math.min(this.#dueAt, attendant.heldUntil) : this.#dueAt;
    // The end of its own step wakes it.
    else if (attendant === this.#process && this.#runner === attendant) return;
    attendant.timer = this.#clock.unrefTimeout(() => this.#look(attendant), Math.max(0, at - now));
  }

  /** Leaves the work to later requests than those that the platform had to keep until `now`. */
  #dismiss(now: number): void {
    for (const attendant of this.#attendants) {
      if (attendant.heldUntil > now) break;
      if (attendant === this.#runner) continue;
      this.#clock.clear(attendant.timer);
      attendant.release();
      this.#attendants.delete(attendant);
    }
  }

  #end(): void {
    this.#dismiss(never);
    this.#clock.clear(this.#process?.timer);
    this.#process = undefined;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function newAttendant(heldUntil: number, hold?: Hold): Attendant {
  return { hold, heldUntil, timer: undefined, seen: -1, missing: 0, release() {} };
}
