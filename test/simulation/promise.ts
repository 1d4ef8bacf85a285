import type { Life } from './machine.js';
import { stalledMs } from './queue.js';
import { type Call, leaseMs, nameOf, type World } from './world.js';

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

/**
 * What is promised, as a list. `docs/know-what-is-promised.md` says the same for people, and each reason for a repeat
 * that is accepted here stands there.
 */
const rules: Readonly<Record<string, (world: World) => Iterable<string>>> = {
  *'no event that the sender goes on sending is lost to any sink'(world) {
    for (const { id, receiver, doneAt, takenBy } of world.sent) {
      if (doneAt === undefined) {
        yield `${id} was never answered 2xx`;
        continue;
      }
      for (const sink of sinksOf(world, receiver)) {
        if (world.calls.some((call) => isOf(call, id, sink, receiver) && call.effectAt !== undefined)) continue;
        const holder = takenBy.get(sink.name);
        // The one exception: a digest in the middleware is in memory, which an isolate may never use again.
        const isLeft = holder?.isSuspended && (holder.wasAtWork || holder.waitsForRequest);
        if (holder !== undefined && (holder.ends.length > 0 || isLeft)) continue;
        yield `${id} never reached ${sink.name}`;
      }
    }
    for (const { id, sink, doneAt } of world.queue.jobs.values()) {
      if (doneAt === undefined) yield `the job of ${id} for ${sink} was never done`;
    }
  },

  *'no event that only the inbox has is lost to any sink'(world) {
    const { plan, inbox } = world;
    if (plan.catchesUp !== 'trusts') return;
    if (inbox.isWaiting) yield 'no first run was ever remembered';
    for (const row of inbox.missed) {
      for (let receiver = 0; receiver < plan.receivers && !inbox.isForgotten(row); receiver++) {
        for (const sink of sinksOf(world, receiver)) {
          if (world.calls.some((call) => isOf(call, row.id, sink, receiver) && call.effectAt !== undefined)) continue;
          yield `${row.id} of the inbox never reached ${sink.name}`;
        }
      }
    }
  },

  *'nothing of the inbox that is older than the first run, or before an id has been seen to agree'(world) {
    const { plan, inbox } = world;
    for (const { id, sink, at } of world.calls) {
      if (id.startsWith('old')) yield `${sink} got ${id}, which is older than the first run`;
      if (plan.catchesUp === 'trusts' || !/^[mx]/.test(id)) continue;
      if (at < inbox.agreedAt) yield `${sink} got ${id} before an id has been seen to agree`;
    }
  },

  *'a 2xx only when it is safe'({ answers }) {
    for (const { id, status, without } of answers) {
      if (without.length > 0) yield `${id} was answered ${status} before ${without.join(' and ')} had it`;
    }
  },

  *'never a 4xx that a retry would mend'({ answers }) {
    for (const { id, status } of answers) {
      if (status >= 300 && status < 500 && status !== 408 && status !== 429) yield `${id} was answered ${status}`;
    }
  },

  *'a repeat only for a listed reason'(world) {
    for (const [number, again] of world.calls.entries()) {
      for (const before of world.calls.slice(0, number)) {
        if (before.id !== again.id || before.sink !== again.sink || before.receiver !== again.receiver) continue;
        if (before.effectAt === undefined || reasonFor(world, before, again) !== undefined) continue;
        const where = before.life === again.life ? 'in one process' : `by ${before.life.name}`;
        yield `${again.sink} got ${again.id} ${where} and again by ${again.life.name}`;
      }
    }
  },

  *'a sink whose claim is lost is asked to stop'({ unstopped }) {
    for (const { id, sink, life } of unstopped)
      yield `${sink} was at ${id} in ${life.name}, and its signal not aborted`;
  },

  *'each request is answered before its sender gives up'({ givenUp }) {
    for (const { id, life, from, at } of givenUp) {
      if (!life.isAlive || life.stood.some(([begins, ends]) => begins <= at && ends >= from)) continue;
      yield `${id} had no answer of ${life.name} in ${Math.round((at - from) / 1_000)} s`;
    }
  },

  *'one outcome and one answer a request'({ runnings, ended }) {
    for (const { id, exchange } of ended) if (exchange.ends > 1) yield `${id} was answered ${exchange.ends} times`;
    for (const { life, requests, outcomes } of runnings) {
      if (!life.isAlive || life.ends.length > 0 || life.isSuspended || requests === outcomes) continue;
      yield `${life.name} had ${requests} requests and jobs, and reported ${outcomes} outcomes`;
    }
  },

  *'an event is done within seconds after the last fault, not a lease later'(world) {
    // What is caught up is claimed for as long as it is gathered.
    const heldMs = world.plan.catchesUp === 'never' ? 0 : heldMsOf(world);
    for (const { id, receiver, since, doneAt, waitMs, lostMs } of world.sent) {
      if (doneAt === undefined) continue;
      const calls = world.calls.filter((one) => one.id === id && one.receiver === receiver && one.kind !== 'queue');
      const late = latenessOf(world, calls, since, doneAt, waitMs + lostMs + heldMs);
      if (late !== undefined) yield `${id} was done ${late} s after the last fault`;
    }
    for (const { id, receiver, sink, since, doneAt, wasStalled } of world.queue.jobs.values()) {
      if (doneAt === undefined) continue;
      const calls = world.calls.filter((one) => one.id === id && one.receiver === receiver && one.sink === sink);
      const late = latenessOf(world, calls, since, doneAt, 5_000 + (wasStalled ? 2 * stalledMs : 0));
      if (late !== undefined) yield `the job of ${id} for ${sink} was done ${late} s after the last fault`;
    }
  },

  *'nothing is in flight after all leases have ended'(world) {
    const { lastFaultAt } = world;
    const heldMs = heldMsOf(world);
    for (const { id, receiver, at, code } of world.answers) {
      if (code !== 'in_flight' || at <= lastFaultAt) continue;
      const calls = world.calls.filter((one) => one.id === id && one.receiver === receiver && one.at <= at);
      if (calls.some(({ settledAt }) => settledAt === undefined || settledAt > at)) continue;
      const times = calls.map(({ settledAt }) => settledAt as number);
      const since = world.sent.find((one) => one.id === id && one.receiver === receiver)?.since ?? 0;
      const from = Math.max(lastFaultAt, since, ...times);
      if (at > from + heldMs + leaseMs + 5_000) {
        yield `${id} was in flight ${Math.round((at - from) / 1_000)} s after the last that was done with it`;
      }
    }
  },

  *'what waits does not keep its process busy'({ machine }) {
    if (machine.busyWith !== undefined) yield `it went on and on without any time in between: ${machine.busyWith}`;
  },

  *'close() resolves, and the process does not end before it has'({ runnings }) {
    for (const { life, closing } of runnings) {
      if (closing?.wrong !== undefined) yield `the close() of ${life.name} ${closing.wrong}`;
      else if (closing !== undefined && !closing.isDone && life.isAlive)
        yield `the close() of ${life.name} never resolved`;
    }
  },

  *'timers, maps and handles are back to nothing'(world) {
    for (const { life, outboxes, endpoints } of world.slots) {
      if (life.isSuspended) continue;
      const timers = life.count('unref') + life.count('timer');
      if (timers > outboxes.length + world.catchUps) yield `${timers} timers are left in ${life.name}`;
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

/** For so long what is gathered is held. */
function heldMsOf({ plan }: World): number {
  return plan.sinks.includes('quiet') ? 60_000 : plan.sinks.includes('digest') ? plan.windowMs : 0;
}

/** How many seconds too late an event was done; undefined when it was in time. */
function latenessOf(
  world: World,
  calls: readonly Call[],
  since: number,
  doneAt: number,
  waitMs: number,
): number | undefined {
  let from = Math.max(since, world.lastFaultAt);
  for (const { at, seen, settledAt } of calls) {
    if (settledAt === undefined || settledAt > doneAt) continue;
    if (seen === 'failed' || settledAt - at > 1_000) from = Math.max(from, settledAt);
  }
  // A claim whose holder is gone or stands still lasts to the end of its lease; what never settles, for five minutes.
  const isHeld =
    world.store.unknownClaims > 0 || world.runnings.some(({ life }) => life.ends.length > 0 || life.away.some(isLong));
  // A digest stops a call on its own, which may be after the event was done by another.
  const hangs = calls.some(({ at, settledAt = Number.POSITIVE_INFINITY }) => {
    return settledAt > doneAt && settledAt - at > maxWorkMs - 1;
  });
  const ms = secondsMs + waitMs + (isHeld ? leaseMs : 0) + (hangs ? maxWorkMs : 0);
  return doneAt > from + ms ? Math.round((doneAt - from) / 1_000) : undefined;
}

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

/** Why a sink, which has taken an event already, may get it again; undefined if it may not. */
function reasonFor(world: World, before: Call, again: Call): string | undefined {
  const hasFailed = before.seen === 'failed' && before.settledAt !== undefined && before.settledAt <= again.at;
  if (hasFailed) return 'a sink that took the event and seemed to fail';
  const lastsMs = (before.settledAt ?? Number.POSITIVE_INFINITY) - before.at;
  // An event may have lain in a digest before, when the isolate was cut off. What is left there waits for a request.
  const isBuffered = before.kind === 'digest' || before.kind === 'quiet';
  const isGathered = isBuffered || before.kind === 'queue';
  const heldMs = world.plan.isolates ? Number.POSITIVE_INFINITY : 60_000;
  const heldSince = isGathered ? before.at - heldMs : before.at;
  const isSame = before.life === again.life && !hasEnded(before.life, heldSince, again.at);
  const wasHeard = before.seen === 'ok' && (before.settledAt as number) <= again.at;
  // What a digest has gathered is completed before its call is heard.
  if (isSame && (wasHeard || isBuffered)) {
    // Once it is completed, nothing but the store remembers it.
    const completedAt = world.store.completedAt.get(world.keyOf(before)) ?? Number.POSITIVE_INFINITY;
    if (world.forgotAt.some((at) => at >= completedAt && at <= again.at)) return 'a store that forgets';
    if (wasHeard) return undefined;
  }
  if (Math.min(lastsMs, again.at - before.at) >= maxWorkMs - leaseMs) return 'work of more than five minutes';
  if ([before.life, again.life].some((life) => wasAway(life, before.at - leaseMs, again.at))) {
    return 'a process that stands still for longer than its lease, or a store that stays away';
  }
  // What an isolate buffered when it was cut off stays in it, and goes out with its next request.
  if (isGathered && hasEnded(again.life, heldSince - leaseMs, again.at)) return 'an isolate that was cut off';
  const isStepped = world.forwardAt.some((at) => at >= before.at - leaseMs && at <= again.at);
  if (before.kind === 'outbox' && isStepped) return 'a clock that was put forward';
  if (isSame) return undefined;
  const since = isGathered ? 0 : before.at - leaseMs;
  if (world.forgotAt.some((at) => at >= since && at <= again.at)) return 'a store that forgets';
  if (world.plan.store === 'memory' && before.kind !== 'outbox' && !before.life.isAlive) return 'a store that forgets';
  const isKnown =
    before.kind !== 'outbox' && (isRecorded(world, before, again.at) || hadTimeToRecord(world, before, again.at));
  if (hasEnded(before.life, heldSince - leaseMs, again.at) && !isKnown) {
    return 'a process that dies before it has recorded what a sink took';
  }
  return undefined;
}

function isRecorded(world: World, call: Call, at: number): boolean {
  const { store } = world;
  const { sink, life } = call;
  const key = world.keyOf(call);
  const recordedAt = Math.min(
    store.recorded.get(`${key} ${sink}`) ?? Number.POSITIVE_INFINITY,
    store.recorded.get(`${key} *`) ?? Number.POSITIVE_INFINITY,
  );
  // A claim that was granted before that does not know it.
  return recordedAt < at - 5_000 && recordedAt <= (life.ends[0] ?? Number.POSITIVE_INFINITY);
}

/** Whether a process with a store that works heard of a sink's success seconds before it died. */
function hadTimeToRecord({ plan }: World, { kind, life, seen, settledAt }: Call, at: number): boolean {
  if (kind !== 'plain' || seen !== 'ok' || settledAt === undefined || plan.store === 'memory') return false;
  if (plan.storeTroubles.length > 0 || plan.oneCall !== undefined || life.away.length > 0) return false;
  return settledAt + 1_000 < (life.ends[0] ?? Number.POSITIVE_INFINITY) && settledAt < at - 5_000;
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
  return plan.sinks.map((kind, number) => ({ name: nameOf(number, receiver), kind }));
}

function isOf(call: Call, id: string, sink: { name: string }, receiver: number): boolean {
  return call.id === id && call.sink === sink.name && call.receiver === receiver;
}

/** All that does not hold at the end of a world. */
export function violationsOf(world: World): Violation[] {
  const violations: Violation[] = [];
  for (const [rule, check] of Object.entries(rules)) {
    for (const what of check(world)) violations.push({ rule, what });
  }
  return violations;
}
