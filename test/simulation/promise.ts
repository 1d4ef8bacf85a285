import type { Life } from './machine.js';
import { leaseMs, type Told, type Violation, type World } from './world.js';

/**
 * What is promised, as a list. `docs/know-what-is-promised.md` says the same for people, and each reason for a repeat
 * that is accepted here stands there. The rules about an answer or a `close()` are checked when it happens (`world.ts`):
 *
 * - a 2xx only when it is safe
 * - never a 4xx that a retry would mend
 * - one outcome a request (and one answer)
 * - close() resolves, and the process does not end before it has
 */
const rules: Readonly<Record<string, (world: World) => Iterable<string>>> = {
  *'no event that the sender goes on sending is lost to any sink'(world) {
    for (const { id, receiver, doneAt, takenBy } of world.sent) {
      if (doneAt === undefined) {
        yield `${id} was never answered 2xx`;
        continue;
      }
      for (const sink of sinksOf(world, receiver)) {
        if (world.told.some((told) => isOf(told, id, sink, receiver) && told.effectAt !== undefined)) continue;
        const holder = takenBy.get(sink.name);
        // The one exception: a digest in the middleware is in memory.
        if (holder !== undefined && holder.ends.length > 0) continue;
        yield `${id} never reached ${sink.name}`;
      }
    }
  },

  *'a repeat only for a listed reason'(world) {
    for (const [number, again] of world.told.entries()) {
      for (const before of world.told.slice(0, number)) {
        if (before.id !== again.id || before.sink !== again.sink || before.receiver !== again.receiver) continue;
        if (before.effectAt === undefined || reasonFor(world, before, again) !== undefined) continue;
        const where = before.life === again.life ? 'in one process' : `by ${before.life.name}`;
        yield `${again.sink} was told of ${again.id} ${where} and again by ${again.life.name}`;
      }
    }
  },

  *'an event is done within seconds after the last fault, not a lease later'(world) {
    for (const { id, receiver, since, doneAt, waitMs } of world.sent) {
      if (doneAt === undefined) continue;
      const told = world.told.filter((one) => one.id === id && one.receiver === receiver);
      let from = Math.max(since, world.lastFaultAt);
      for (const { at, seen, settledAt } of told) {
        if (settledAt === undefined || settledAt > doneAt) continue;
        if (seen === 'failed' || settledAt - at > 1_000) from = Math.max(from, settledAt);
      }
      // A claim whose holder is gone or stands still lasts to the end of its lease; what never settles, for five minutes.
      const isHeld = world.runnings.some(({ life }) => life.ends.length > 0 || life.away.some(isLong));
      const hangs = told.some(({ settledAt }) => settledAt === undefined);
      const ms = secondsMs + waitMs + (isHeld ? leaseMs : 0) + (hangs ? maxWorkMs : 0);
      if (doneAt > from + ms) yield `${id} was done ${Math.round((doneAt - from) / 1_000)} s after the last fault`;
    }
  },

  *'one outcome a request'(world) {
    for (const { life, requests, outcomes } of world.runnings) {
      if (!life.isAlive || life.ends.length > 0 || requests === outcomes) continue;
      yield `${life.name} had ${requests} requests and told of ${outcomes} outcomes`;
    }
  },

  *'close() resolves'(world) {
    for (const { life, closing } of world.runnings) {
      if (closing !== undefined && !closing.isDone && life.isAlive) yield `the close() of ${life.name} never resolved`;
    }
  },

  *'timers, maps and handles are back to nothing'(world) {
    for (const { life, outboxes, endpoints } of world.slots) {
      const timers = life.count('unref') + life.count('timer');
      if (timers > outboxes.length) yield `${timers} timers are left in ${life.name}`;
      if (life.count('io') > 0) yield `${life.name} still waits for something`;
      // What an isolate has lost cannot count itself out.
      if (life.ends.length > 0) continue;
      for (const endpoint of endpoints) {
        const { runningCount } = endpoint.forwarder as unknown as { runningCount?: number };
        if (runningCount !== undefined && runningCount > 0) yield `${life.name} still runs ${runningCount} events`;
      }
    }
  },
};

const secondsMs = 15_000;
const maxWorkMs = 5 * 60_000;
/**
 * For so long a store may be away, or a process stand still, without a claim's being lost: two thirds of a lease, less
 * what a renewal takes that is tried again within seconds.
 */
const toleratedMs = 13_000;

function isLong([from, to]: readonly [number, number]): boolean {
  return to - from > toleratedMs;
}

/** Why a sink, which has taken an event already, may be told of it again; undefined when it may not. */
function reasonFor(world: World, before: Told, again: Told): string | undefined {
  const hasFailed = before.seen === 'failed' && before.settledAt !== undefined && before.settledAt <= again.at;
  if (hasFailed) return 'a sink that took the event and seemed to fail';
  const lastsMs = (before.settledAt ?? Number.POSITIVE_INFINITY) - before.at;
  const isSame = before.life === again.life && !hasEnded(before.life, before.at, again.at);
  const wasHeard = before.seen === 'ok' && (before.settledAt as number) <= again.at;
  if (isSame && wasHeard) {
    // It is completed, and then nothing but the store remembers it.
    const completedAt = world.store.completedAt.get(world.keyOf(before.id, before.receiver));
    const isForgotten = world.forgotAt.some((at) => completedAt !== undefined && at >= completedAt);
    return isForgotten ? 'a store that forgets' : undefined;
  }
  if (Math.min(lastsMs, again.at - before.at) >= maxWorkMs - leaseMs) return 'work of more than five minutes';
  if ([before.life, again.life].some((life) => wasAway(life, before.at - leaseMs, again.at))) {
    return 'a process that stands still for longer than its lease, or a store that stays away';
  }
  if (before.kind === 'outbox' && world.steppedAt.length > 0) return 'a clock that was put forward';
  if (isSame) return undefined;
  // An event may have lain in a digest before.
  const isGathered = before.kind === 'digest' || before.kind === 'quiet';
  const since = isGathered ? 0 : before.at - leaseMs;
  if (world.forgotAt.some((at) => at >= since && at <= again.at)) return 'a store that forgets';
  if (world.plan.store === 'memory' && before.kind !== 'outbox' && !before.life.isAlive) return 'a store that forgets';
  const isKnown = before.kind !== 'outbox' && isRecorded(world, before, again.at);
  if (hasEnded(before.life, before.at - leaseMs, again.at) && !isKnown) {
    return 'a process that dies before it has recorded what a sink took';
  }
  return undefined;
}

function isRecorded(world: World, { id, sink, receiver, life }: Told, at: number): boolean {
  const { store } = world;
  const key = world.keyOf(id, receiver);
  const recordedAt = Math.min(
    store.recorded.get(`${key} ${sink}`) ?? Number.POSITIVE_INFINITY,
    store.recorded.get(`${key} *`) ?? Number.POSITIVE_INFINITY,
  );
  // A claim that was granted before that does not know it.
  return recordedAt < at - 5_000 && recordedAt <= (life.ends[0] ?? Number.POSITIVE_INFINITY);
}

function hasEnded({ ends }: Life, from: number, to: number): boolean {
  return ends.some((at) => from <= at && at <= to);
}

/** Windows that lie close together count as one. */
function wasAway({ away }: Life, from: number, to: number): boolean {
  let start = Number.NEGATIVE_INFINITY;
  let end = Number.NEGATIVE_INFINITY;
  for (const [begins, ends] of [...away].sort((a, b) => a[0] - b[0])) {
    if (begins > to || ends < from) continue;
    if (begins > end + 5_000) start = begins;
    end = Math.max(end, ends);
    if (isLong([start, end])) return true;
  }
  return false;
}

function sinksOf({ plan }: World, receiver: number) {
  if (plan.handoff) return [{ name: 'handler', kind: 'handler' as const }];
  return plan.sinks.map((kind, number) => ({ name: `s${number}${receiver === 0 ? '' : '-other'}`, kind }));
}

function isOf(told: Told, id: string, sink: { name: string }, receiver: number): boolean {
  return told.id === id && told.sink === sink.name && told.receiver === receiver;
}

/** All that does not hold at the end of a world. */
export function violationsOf(world: World): Violation[] {
  const violations = [...world.violations];
  // What does not hold at once ends the world, and what it had still to do.
  if (violations.length > 0) return violations;
  for (const [rule, check] of Object.entries(rules)) {
    for (const what of check(world)) violations.push({ rule, what });
  }
  return violations;
}
