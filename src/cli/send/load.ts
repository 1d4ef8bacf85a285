import { setTimeout as sleep } from 'node:timers/promises';
import { type Answered, isAccepted, statusOf } from './post-delivery.js';

export interface Plan {
  /** How many are sent at most. */
  readonly count: number;
  /** How many a second; as fast as they are answered, if there is none. */
  readonly rate?: number;
  /** For how long, in seconds. */
  readonly duration?: number;
  readonly connections: number;
  /** When nothing more is sent, in milliseconds of `performance.now()`. */
  readonly deadlineAt?: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly accepted: number;
  /** How often each status, or code of an error, was the answer. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Sent a second. */
  readonly rate: number;
  readonly seconds: number;
  /** Milliseconds, of those that were answered. */
  readonly latency?: Latency;
}

interface Latency {
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Sends by the plan until it is done or `interrupted`, and waits for the answers. */
export async function runLoad(
  plan: Plan,
  send: (index: number) => Promise<Answered>,
  interrupted: AbortSignal,
  onAnswer: () => void,
): Promise<LoadResult> {
  const tally = new Tally(onAnswer);
  const startedAt = performance.now();
  const endsAt = startedAt + (plan.duration ?? Number.POSITIVE_INFINITY) * 1000;
  // By a timetable it is the number that ends it, unless the rate cannot be held.
  const count = Math.min(
    plan.count,
    Math.ceil((plan.duration ?? Number.POSITIVE_INFINITY) * (plan.rate ?? Number.POSITIVE_INFINITY)),
  );
  const { deadlineAt = Number.POSITIVE_INFINITY } = plan;
  const stopAt = Math.min(deadlineAt, plan.rate === undefined ? endsAt : endsAt + graceMs);
  const isOver = (sent: number) => sent >= count || interrupted.aborted || performance.now() >= stopAt;
  const sendNext = () => send(tally.sent++).then((answered) => tally.add(answered));
  const seconds = () => (performance.now() - startedAt) / 1000;

  if (plan.rate === undefined) {
    const sendOn = async () => {
      while (!isOver(tally.sent)) await sendNext();
    };
    await Promise.all(Array.from({ length: Math.min(plan.connections, count) }, sendOn));
    return tally.result(seconds());
  }
  const underWay = await sendAtRate(plan.rate, startedAt, isOver, sendNext);
  // The last one has its share of the time, too.
  const took = Math.max(seconds(), tally.sent / plan.rate);
  await Promise.all(underWay);
  return tally.result(took);
}

/** How much longer than planned it may take to make up for what a busy machine has held up, in milliseconds. */
const graceMs = 500;
/** More than that at once would leave no time to read the answers. */
const maxATurn = 100;
/** When so many are not answered, the rate is more than the receiver bears. */
const maxUnderWay = 10_000;

/**
 * Keeps to a timetable that does not wait for answers: whatever is due is sent, also what is late. Gives what has not
 * been answered by then.
 */
async function sendAtRate(
  rate: number,
  startedAt: number,
  isOver: (sent: number) => boolean,
  sendNext: () => Promise<void>,
): Promise<Set<Promise<void>>> {
  const underWay = new Set<Promise<void>>();
  let sent = 0;
  while (!isOver(sent)) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * rate) + 1;
    const upTo = Math.min(due, sent + maxATurn, sent + maxUnderWay - underWay.size);
    while (sent < upTo && !isOver(sent)) {
      sent++;
      const answer = sendNext().finally(() => underWay.delete(answer));
      underWay.add(answer);
    }
    const waitMs = startedAt + (sent / rate) * 1000 - performance.now();
    await sleep(Math.max(0, waitMs));
  }
  return underWay;
}

class Tally {
  sent = 0;
  #accepted = 0;
  readonly #statuses = new Map<string, number>();
  readonly #latencies: number[] = [];
  readonly #onAnswer: () => void;

  constructor(onAnswer: () => void) {
    this.#onAnswer = onAnswer;
  }

  add(answered: Answered): void {
    const status = statusOf(answered);
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    if (isAccepted(answered)) this.#accepted++;
    if (answered.status !== 0) this.#latencies.push(answered.ms);
    this.#onAnswer();
  }

  result(seconds: number): LoadResult {
    return {
      sent: this.sent,
      accepted: this.#accepted,
      statuses: Object.fromEntries([...this.#statuses].sort()),
      rate: this.sent / seconds,
      seconds,
      latency: latencyOf(this.#latencies),
    };
  }
}

function latencyOf(values: readonly number[]): Latency | undefined {
  if (values.length === 0) return undefined;
  const sorted = Float64Array.from(values).sort();
  // The least value that so large a part of all does not exceed.
  const at = (part: number) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] as number;
  return { min: at(0), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}
