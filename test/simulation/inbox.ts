import type { VastApi, VastApiNotification } from '../../src/api/index.js';
import { keyOf } from '../../src/forward/dispatcher.js';
import type { Life } from './machine.js';
import { start, type World } from './world.js';

interface Row {
  readonly id: string;
  /** Milliseconds of the machine. */
  readonly at: number;
}

/** By then what only the inbox has has come, if it may. */
const longEnoughMs = 150_000;

/** The sender's inbox: it has what is delivered, what is not, and what is older than everything here. */
export class Inbox {
  readonly #world: World;
  readonly #rows: (Row & { readonly seenFrom: number })[] = [];
  /** What no webhook brings. */
  readonly missed: Row[] = [];
  /** When a delivery was sent whose id is that of a row. */
  agreedAt = Number.POSITIVE_INFINITY;
  #left = 0;

  constructor(world: World) {
    this.#world = world;
  }

  fill(): void {
    const { choices } = this.#world;
    for (let number = 0; number < 3; number++) this.#add(`old${number}`, start - 1_000 * number - 5_000, 0);
    this.#left = 1 + choices.pick(3);
    for (let number = 0; number < this.#left; number++) this.#addMissed(`m${number}`, choices.pick(60_000));
  }

  /** Of an event that is delivered, too. Its row may come a little later. */
  addDelivered(id: string): void {
    const { machine, plan, choices } = this.#world;
    if (plan.catchesUp !== 'other ids') this.agreedAt = Math.min(this.agreedAt, machine.now);
    this.#add(plan.catchesUp === 'other ids' ? `x${id}` : id, machine.now, choices.pick(3_000));
  }

  /** Nothing is missed before the first run, because that is older. */
  #addMissed(id: string, ms: number): void {
    const { machine } = this.#world;
    machine.in(ms, undefined, 'io', `${id} stands in the inbox`, () => {
      if (!this.#world.knowsFirstRun) {
        this.#addMissed(id, 1_000);
        return;
      }
      this.#left--;
      this.missed.push({ id, at: machine.now });
      // Later than everything that the first run has seen.
      this.#add(id, machine.now + 0.5, 0);
    });
  }

  #add(id: string, at: number, lateMs: number): void {
    this.#rows.push({ id, at, seenFrom: at + lateMs });
  }

  /** A store that forgets begins anew, and what is older than that is not delivered. */
  isForgotten({ at }: Row): boolean {
    return this.#world.forgotAt.some((forgotAt) => forgotAt >= at);
  }

  /** Whether the first run that makes others miss something has not been yet. */
  get isWaiting(): boolean {
    return this.#left > 0;
  }

  get isDone(): boolean {
    const { machine, plan, store, slots } = this.#world;
    if (plan.catchesUp !== 'trusts') return machine.now > start + longEnoughMs;
    if (this.isWaiting) return false;
    const scopes = slots[0]?.endpoints.map(({ settings }) => settings.scope) ?? [];
    return this.missed.every(
      (row) => this.isForgotten(row) || scopes.every((scope) => store.completedAt.has(keyOf(scope, 'vast', row.id))),
    );
  }

  clientOf(life: Life, trouble: number): Pick<VastApi, 'inbox'> {
    const { machine, choices } = this.#world;
    return {
      inbox: () =>
        new Promise((resolve, reject) => {
          const isTroubled = machine.now < start + 60_000 && choices.chance(trouble);
          const ms = isTroubled && choices.chance(30) ? choices.pick(60_000) : 20 + choices.pick(200);
          life.io(ms, 'the inbox answers', () => {
            if (isTroubled && choices.chance(50)) reject(new Error('503'));
            else resolve({ notifications: this.#window(), date: Math.floor(secondsOf(machine.now)) });
          });
        }),
    };
  }

  #window(): VastApiNotification[] {
    const { now } = this.#world.machine;
    return this.#rows
      .filter(({ seenFrom }) => seenFrom <= now)
      .map(({ id, at }) => ({
        event_id: id,
        notif_type: 'outbid',
        subject: '',
        message: '',
        created_at: secondsOf(at),
      }))
      .sort((a, b) => b.created_at - a.created_at);
  }
}

function secondsOf(at: number): number {
  return (1_790_000_000_000 + at) / 1_000;
}
