/**
 * The example `rebid` in a market of virtual time, with a competitor, lost calls, repeated deliveries and crashes at every
 * place. A seed gives all of it.
 */
import { createRebid } from '../../examples/rebid/rebid.mjs';
import { ApiError } from '../../src/api/index.js';
import { sqliteHandles } from '../support/sqlite.js';
import { VastMarket } from '../support/vast-market.js';

const id = 48927380;
const machine = 46110;
export const ceiling = 0.3;
export const margin = 0.01;

type Choose = () => number;

/** Mulberry32. */
function choices(seed: number): Choose {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const never = () => new Promise<never>(() => {});

class Clock {
  now = 1_790_000_000_000;
  readonly #timers: { readonly at: number; readonly run: () => void }[] = [];

  after(ms: number, run: () => void): void {
    this.#timers.push({ at: this.now + Math.max(1, ms), run });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  async runUntil(isOver: () => boolean, latest: number): Promise<void> {
    while (!isOver() && this.now < latest) {
      await new Promise(setImmediate);
      this.#timers.sort((a, b) => a.at - b.at);
      const next = this.#timers.shift();
      if (!next) return;
      this.now = Math.max(this.now, next.at);
      next.run();
    }
  }
}

export interface Life {
  readonly bids: readonly { readonly event: string; readonly price: number; readonly before: number }[];
  readonly starts: number;
  /** The price to beat in the text of each outbid. */
  readonly toBeat: ReadonlyMap<string, number>;
  readonly said: readonly string[];
  readonly states: readonly string[];
  readonly crashes: number;
  readonly isRunning: boolean;
  /** What the competitor asks for at the end. */
  readonly price: number;
  /** Whether it asked for more only while the instance ran, so that each time there was an outbid. */
  readonly isFair: boolean;
}

export async function live(seed: number, { crashRate = 0.03, faultRate = 0.1 } = {}): Promise<Life> {
  const choose = choices(seed);
  const chance = (rate: number) => choose() < rate;
  const between = (least: number, most: number) => least + choose() * (most - least);
  const clock = new Clock();
  const [sqlite] = sqliteHandles();
  const db = sqlite.open(':memory:');
  const bids: { event: string; price: number; before: number }[] = [];
  const toBeat = new Map<string, number>();
  const said: string[] = [];
  let crashes = 0;
  let price = 0;
  const isFair = chance(0.5);
  let current: { deliver(event: object): void } | undefined;

  const comesBack = chance(0.5);
  const market = new VastMarket({
    now: () => clock.now,
    slowness: () => between(10_000, 30_000),
    comesBack: () => comesBack,
    onOutbid(event) {
      toBeat.set(event.event_id, Number(price.toFixed(2)));
      // At least once, and as often as the sender likes.
      for (let repeats = 1 + Math.floor(choose() * 3); repeats > 0; repeats--) bring(event, between(100, 90_000));
      bring(event, between(100, 15_000));
    },
  });
  market.rent(id, machine, 0.031);

  function bring(event: object, ms: number): void {
    clock.after(ms, () => {
      try {
        if (!current) throw new Error('down');
        current.deliver(event);
      } catch {
        bring(event, between(1_000, 10_000));
      }
    });
  }

  function begin(): void {
    const life = { isOver: false };
    const crash = () => {
      if (life.isOver) return;
      life.isOver = true;
      current = undefined;
      crashes++;
      clock.after(between(100, 120_000), begin);
    };
    const mayCrash = () => {
      if (chance(crashRate)) crash();
    };

    /** One call of the API: it may get lost on its way, on its way back, or arrive late. */
    async function call<T>(isChange: boolean, apply: () => T): Promise<T> {
      if (life.isOver) return never();
      mayCrash();
      if (life.isOver) return never();
      // From here on it is on its way, whatever becomes of the process.
      const outcome = chance(faultRate) ? choose() : 1;
      if (outcome < 0.25) {
        await clock.sleep(50);
        throw new ApiError('429', { status: 429, code: 'http_429' });
      }
      if (outcome < 0.5) {
        await clock.sleep(10_000);
        if (life.isOver) return never();
        throw new ApiError('lost', { status: 0, code: 'timeout', inDoubt: isChange });
      }
      if (outcome < 0.75) {
        clock.after(between(100, 20_000), apply);
        await clock.sleep(10_000);
        if (life.isOver) return never();
        throw new ApiError('late', { status: 0, code: 'timeout', inDoubt: isChange });
      }
      clock.after(3, mayCrash);
      await clock.sleep(between(1, 2_000));
      const result = apply();
      mayCrash();
      await clock.sleep(between(1, 2_000));
      return life.isOver ? never() : result;
    }

    const guarded = {
      exec: (sql: string) => db.exec(sql),
      prepare(sql: string) {
        const statement = db.prepare(sql);
        const run = (...values: unknown[]) => {
          if (life.isOver) throw new Error('over');
          mayCrash();
          if (life.isOver) throw new Error('over');
          const result = statement.run(...(values as never[]));
          mayCrash();
          if (life.isOver) throw new Error('over');
          return result;
        };
        return { run, all: (...values: unknown[]) => statement.all(...(values as never[])) };
      },
    };

    const api = {
      instance: () => call(false, () => market.show(id)),
      setBid(_: number, bid: number) {
        const rows = db.prepare("SELECT event FROM rebids WHERE state = 'bidding'").all() as { event: string }[];
        return call(true, () => {
          bids.push({
            event: rows.map(({ event }) => event).join(),
            price: bid,
            before: market.instances.get(id)?.bid ?? 0,
          });
          market.setBid(id, bid);
        });
      },
      startInstance: () => call(true, () => void market.setState(id, 'running')),
    };

    try {
      const rebid = createRebid({
        db: guarded,
        api,
        ceiling,
        margin,
        now: () => clock.now,
        sleep: (ms: number) =>
          life.isOver ? never() : clock.sleep(ms).then(() => (life.isOver ? never() : undefined)),
        onError() {},
        async say(text: string) {
          if (life.isOver) return never();
          if (chance(faultRate)) throw new Error('the chat is down');
          said.push(text);
        },
      });
      if (life.isOver) return;
      current = {
        deliver: (event) => rebid.sink.deliver(event, { delivery: { id: (event as { event_id: string }).event_id } }),
      };
    } catch (error) {
      if (!life.isOver) throw error;
    }
  }

  /** Asks for more a few times: by a little, by a lot, or by a bit more than the instance has. */
  function compete(times: number): void {
    clock.after(between(30_000, 240_000), () => {
      const bid = market.instances.get(id)?.bid ?? 0;
      if (isFair && !market.isRunning(id)) return compete(times);
      if (market.instances.get(id)?.intended === 'running' || !isFair) {
        price = Math.max(price, bid) * between(1.001, 1.9);
        market.compete(machine, price);
      }
      if (times > 1) compete(times - 1);
    });
  }

  begin();
  compete(1 + Math.floor(choose() * 6));
  const start = clock.now;
  const isOver = () => {
    if (clock.now - start < 40 * 60_000 || !current) return false;
    const rows = db.prepare('SELECT state FROM rebids').all() as { state: string }[];
    return rows.every(({ state }) => state === 'done');
  };
  await clock.runUntil(isOver, start + 4 * 3_600_000);
  const rows = db.prepare('SELECT state FROM rebids').all() as { state: string }[];
  db.close();
  return {
    bids,
    starts: market.starts.length,
    toBeat,
    said,
    states: rows.map(({ state }) => state),
    crashes,
    isRunning: market.isRunning(id),
    price,
    isFair,
  };
}
