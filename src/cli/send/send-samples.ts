import { setTimeout as sleep } from 'node:timers/promises';
import { closest } from 'fastest-levenshtein';
import type { VastType } from 'vast-webhook';
import { type SecretOptions, senderSecret } from '../secrets/flags.js';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { printable, printJson, printLine } from '../shared/print.js';
import { showProgress } from '../shared/progress.js';
import { readSettings } from '../shared/settings.js';
import { printTable } from '../shared/table.js';
import { type LoadResult, type Plan, runLoad } from './load.js';
import {
  type Answered,
  adviceFor,
  deadlineIn,
  isAccepted,
  isInFlight,
  nameOf,
  type Sender,
  sender,
  statusOf,
  targetOf,
} from './post-delivery.js';

export interface TriggerOptions extends SecretOptions {
  readonly url: string;
  readonly count?: number;
  readonly rate?: number;
  readonly duration?: number;
  readonly connections?: number;
  readonly deadline?: number;
  readonly eventId?: string;
  readonly set?: readonly string[];
  readonly attempt?: number;
  readonly age?: number;
  readonly json?: true;
}

const defaultSeconds = 10;
const connectionsUnderLoad = 32;

export async function trigger(type: string, options: TriggerOptions, io: CliContext): Promise<void> {
  const url = targetOf(options.url);
  const nextEvent = await eventsOf(type, options);
  const secret = await senderSecret(options, await readSettings(io), io);
  const { count, rate, duration, attempt, age: ageSeconds } = options;
  const connections = connectionsOf(options);
  const deadlineAt = deadlineIn(options.deadline);
  const to = sender(url, connections, { secret, attempt, ageSeconds }, io.interrupted, deadlineAt);
  try {
    if (rate === undefined && duration === undefined && (count ?? 1) === 1) {
      await sendOne(to, url, nextEvent(), options, io);
    } else {
      const most = count ?? Number.POSITIVE_INFINITY;
      const plan = { count: most, rate, duration: durationOf(options), connections, deadlineAt };
      await sendMany(to, url, nextEvent, plan, options, io);
    }
  } finally {
    to.close();
  }
}

/** A rate by itself would have no end. */
function durationOf({ count, duration }: TriggerOptions): number | undefined {
  return duration ?? (count === undefined ? defaultSeconds : undefined);
}

/** One after the other, because the second of two deliveries of one event at once is answered 503. */
function connectionsOf({ connections, rate, duration, eventId }: TriggerOptions): number {
  const isLoad = (rate ?? duration) !== undefined && eventId === undefined;
  return connections ?? (isLoad ? connectionsUnderLoad : 1);
}

type NextEvent = () => { readonly event_id: string; readonly notif_type: string };

async function eventsOf(type: string, { eventId, set = [] }: TriggerOptions): Promise<NextEvent> {
  const [{ vastTypes }, { sampleEvent }] = await Promise.all([import('vast-webhook'), import('vast-webhook/testing')]);
  const known = Object.entries(vastTypes).flatMap(([slug, { contexts }]) => [
    slug,
    ...contexts.map((context) => `${context}:${slug}`),
  ]);
  if (!known.includes(type)) {
    throw new UsageError(`there is no event type "${printable(type)}": did you mean ${closest(type, known)}?`);
  }
  const sample = sampleEvent(type as VastType);
  const changes = { ...fieldsIn(set, { ...sample }), ...(eventId !== undefined && { event_id: eventId }) };
  return () => ({ ...sampleEvent(type as VastType), ...changes });
}

/** The values of `--set`: a text where the sample has one, and elsewhere JSON if it is some. */
function fieldsIn(set: readonly string[], sample: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    set.map((text) => {
      const [, field = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
      if (field === '') throw new UsageError("--set takes a field and a value, such as --set subject='Hello'");
      if (field === 'event_id') throw new UsageError('--set does not take event_id: give it with --event-id');
      return [field, typeof sample[field] === 'string' ? value : jsonOr(value)];
    }),
  );
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function sendOne(
  to: Sender,
  url: URL,
  event: ReturnType<NextEvent>,
  { json }: TriggerOptions,
  io: CliContext,
): Promise<void> {
  const answered = await to.send(JSON.stringify(event), event.event_id);
  const { status, error, body, ms } = answered;
  const { notif_type: type, event_id } = event;
  if (json) {
    printJson(io, { url: nameOf(url), type, event_id, status, error, body, ms: rounded(ms) });
  } else {
    printLine(io, `${type} ${printable(event_id)} to ${nameOf(url)}`);
    printLine(io, `${statusOf(answered)} in ${rounded(ms)} ms${body && `: ${printable(body)}`}`);
  }
  if (!isAccepted(answered)) throw new CliError(adviceFor(answered, url));
}

async function sendMany(
  to: Sender,
  url: URL,
  nextEvent: NextEvent,
  plan: Plan & { readonly deadlineAt: number },
  { json, deadline, eventId }: TriggerOptions,
  io: CliContext,
): Promise<void> {
  const expected = expectedOf(plan);
  const progress = showProgress(io, 'sending', expected ?? Math.ceil(plan.duration ?? 0));
  // Without a number to reach it is the time that passes.
  const clock = expected === undefined ? setInterval(() => progress.advance(), 1_000) : undefined;
  const onAnswer = () => {
    if (expected !== undefined) progress.advance();
  };
  let result: LoadResult;
  try {
    const sendNext = () => {
      const event = nextEvent();
      return to.send(JSON.stringify(event), event.event_id);
    };
    const isRepeated = eventId !== undefined && plan.connections === 1;
    const sendSettled = () => sendUntilSettled(sendNext, plan.deadlineAt, io.interrupted);
    result = await runLoad(plan, isRepeated ? sendSettled : sendNext, io.interrupted, onAnswer);
  } finally {
    clearInterval(clock);
    progress.end();
  }
  if (json) printResultAsJson(io, url, plan, result);
  else printResult(io, plan, result);
  const { sent, accepted } = result;
  if (accepted < sent) {
    throw new CliError(`${sent - accepted} of ${sent} were not answered 2xx: the receiver's log says why`);
  }
  if (sent < (expected ?? Number.POSITIVE_INFINITY) && performance.now() >= plan.deadlineAt) {
    throw new CliError(
      `ended by --deadline ${deadline} after ${sent}${expected === undefined ? '' : ` of ${expected}`}`,
    );
  }
}

const settleEveryMs = 50;
const settleAttempts = 20;

/** A handler's answer goes out just before its event is settled, and a sender, too, comes again after a 503. */
async function sendUntilSettled(
  send: () => Promise<Answered>,
  deadlineAt: number,
  interrupted: AbortSignal,
): Promise<Answered> {
  for (let attempt = 1; ; attempt++) {
    const answered = await send();
    const isOver = attempt === settleAttempts || interrupted.aborted || performance.now() + settleEveryMs >= deadlineAt;
    if (isOver || !isInFlight(answered)) return answered;
    await sleep(settleEveryMs);
  }
}

function expectedOf({ count, rate, duration }: Plan): number | undefined {
  const byTime = rate !== undefined && duration !== undefined ? Math.ceil(rate * duration) : Number.POSITIVE_INFINITY;
  const expected = Math.min(count, byTime);
  return Number.isFinite(expected) ? expected : undefined;
}

function printResultAsJson(
  io: CliContext,
  url: URL,
  plan: Plan,
  { latency, seconds, rate, ...result }: LoadResult,
): void {
  printJson(io, {
    url: nameOf(url),
    ...result,
    asked_rate: plan.rate,
    rate: rounded(rate),
    seconds: rounded(seconds),
    latency_ms: latency && Object.fromEntries(Object.entries(latency).map(([name, ms]) => [name, rounded(ms)])),
  });
}

function printResult(io: CliContext, plan: Plan, { sent, statuses, rate, seconds, latency }: LoadResult): void {
  const asked = plan.rate === undefined ? '' : ` of ${plan.rate} asked for`;
  printLine(io, `${sent} sent in ${seconds.toFixed(1)} s: ${rate.toFixed(1)} a second${asked}`);
  printTable(io, [['answer', 'count'], ...Object.entries(statuses).map(([status, count]) => [status, String(count)])]);
  if (latency === undefined) return;
  const rows = Object.entries(latency).map(([name, ms]) => [name, ms.toFixed(2)]);
  printTable(io, [['latency', 'ms'], ...rows]);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
