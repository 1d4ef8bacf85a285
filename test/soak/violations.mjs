/** A telling of the loop or worker that is this old has been recorded, unless the store was away. */
const recordedAfterMs = 1_000;
/** How many of a kind are spelled out. */
const spelledOut = 5;

/** The figures of a report, as the table shows them. */
export function figuresOf(report) {
  const { backend, events, attempts, sinks, kills, outages, pings, seconds } = report;
  const most = sinks
    .map((sink) => ({ repeats: repeatsOf(report, sink).length, allowed: allowedOf(report, sink) }))
    .sort((a, b) => b.repeats - a.repeats)[0];
  return {
    backend,
    events: events.length,
    deliveries: sum(events.map(({ deliveries }) => deliveries)),
    attempts: attempts.length,
    kills: kills.length,
    outages: outages.length,
    'sink failures': sum(sinks.map(({ failures }) => failures)),
    told: sum(sinks.map(({ tellings }) => tellings.length)),
    repeats: most.repeats,
    allowed: most.allowed,
    lost: lostOf(report).length,
    '4xx': attempts.filter(isDrop).length,
    'early 2xx': earlyOf(report).length,
    'slowest ping': `${Math.max(0, ...pings.filter(({ wasUp }) => wasUp).map(({ from, to }) => Math.round(to - from)))} ms`,
    seconds: Math.round(seconds * 10) / 10,
  };
}

/** What a report shows that must not be, as sentences. None is the proof. */
export function violationsOf(report) {
  const { events, attempts, sinks, pings, crashes, closed } = report;
  return [
    ...some(lostOf(report), ({ event, sink, answeredAt }) => {
      return `${sink} was never told of ${event}, which ${answeredAt === undefined ? 'was never answered 2xx' : 'had been answered 2xx'}`;
    }),
    ...some(earlyOf(report), ({ event, sink }) => `${event} was answered 2xx before ${sink} had been told`),
    ...some(attempts.filter(isDrop), ({ event, status, code }) => {
      return `${event} was answered ${status} ${code ?? ''}, after which the sender gives it up`;
    }),
    ...some(
      events.filter(({ answeredAt, droppedWith }) => answeredAt === undefined && droppedWith === undefined),
      ({ id }) => `${id} was never answered 2xx, whatever the number of attempts`,
    ),
    ...sinks.flatMap((sink) => {
      const repeats = repeatsOf(report, sink);
      const allowed = allowedOf(report, sink);
      const unexplained = repeats.filter(({ why }) => why !== undefined);
      return [
        ...(repeats.length > allowed
          ? [`${sink.name} was told ${repeats.length} times again, with ${allowed} in flight at the kills`]
          : []),
        ...some(unexplained, ({ event, why }) => `${sink.name} was told again of ${event}, ${why}`),
      ];
    }),
    ...some(
      pings.filter(({ wasUp, isAnswered }) => wasUp && !isAnswered),
      ({ from, to }) => `/ping was not answered ${duringOf(report, from, to)}`,
    ),
    ...crashes,
    ...(closed ? [] : ['a process did not close in time']),
  ];
}

function lostOf({ events, sinks }) {
  return sinks.flatMap(({ name: sink, tellings }) => {
    const told = new Set(tellings.map(({ event }) => event));
    const lost = events.filter(({ id }) => !told.has(id));
    return lost.map(({ id: event, answeredAt }) => ({ event, sink, answeredAt }));
  });
}

/** Behind a queue a 2xx is early when a sink is not told in the end. */
function earlyOf({ isQueue, events, sinks }) {
  return sinks.flatMap(({ name: sink, tellings }) => {
    const first = new Map();
    for (const { event, at } of tellings) if (!first.has(event)) first.set(event, at);
    const isEarly = ({ id, answeredAt }) =>
      answeredAt !== undefined && !(first.get(id) <= (isQueue ? Number.POSITIVE_INFINITY : answeredAt));
    return events.filter(isEarly).map(({ id: event }) => ({ event, sink }));
  });
}

function isDrop({ status }) {
  return status >= 300 && status <= 499 && status !== 408 && status !== 429;
}

/** Each telling that was not a sink's first of an event, and why it cannot be, if so. */
function repeatsOf(report, { tellings }) {
  const last = new Map();
  const repeats = [];
  for (const telling of tellings) {
    const before = last.get(telling.event);
    last.set(telling.event, telling);
    if (before !== undefined) repeats.push({ event: telling.event, why: whyNot(report, before, telling) });
  }
  return repeats;
}

/** Only a process that was killed between a sink's success and its record may have a sink told again. */
function whyNot(report, before, telling) {
  if (before.life === telling.life) {
    const between = `${Math.round(telling.at - before.at)} ms later`;
    return `${between} by the same process ${before.life} ${duringOf(report, before.at, telling.at)}`;
  }
  const kill = report.kills.find(({ life }) => life === before.life);
  if (kill === undefined) return `by ${telling.life} after ${before.life}, which had not been killed`;
  if (isOpen(report, before, kill)) return undefined;
  return `by ${telling.life}, although ${before.life} had recorded it when it was killed`;
}

/** Whether a telling may have been unrecorded when its process was killed. */
function isOpen(report, { event, at }, kill) {
  if (report.isQueue) return kill.at - at < recordedAfterMs || outageWithin(report, at, kill.at) !== undefined;
  // What was told is on record with the answer, unless that says that the store was away or that others are at work.
  return !attemptsOn(report, event).some(({ status, start, end }) => {
    if (!(end >= at && end <= kill.at)) return false;
    return status === 204 || (status === 502 && outageWithin(report, start, end) === undefined);
  });
}

/** How many of a sink's tellings were in flight at the kills: told, but not settled. */
function allowedOf(report, { tellings }) {
  const { kills, isQueue, concurrency } = report;
  return sum(
    kills.map((kill) => {
      const open = tellings.filter((telling) => telling.life === kill.life && isOpen(report, telling, kill)).length;
      return isQueue ? Math.min(open, concurrency) : open;
    }),
  );
}

const indexes = new WeakMap();

function attemptsOn(report, event) {
  let index = indexes.get(report);
  if (index === undefined) {
    index = groupByEvent(report.attempts);
    indexes.set(report, index);
  }
  return index.get(event) ?? [];
}

function groupByEvent(attempts) {
  const index = new Map();
  for (const attempt of attempts) {
    const list = index.get(attempt.event);
    if (list === undefined) index.set(attempt.event, [attempt]);
    else list.push(attempt);
  }
  return index;
}

/** The store may be slow to come back. */
function outageWithin({ outages, storeTimeoutMs }, from, to) {
  return outages.find((outage) => outage.from <= to && outage.to + 2 * storeTimeoutMs >= from);
}

function duringOf(report, from, to) {
  const outage = outageWithin(report, from, to);
  return outage === undefined ? 'while the store was there' : `around the store being ${outage.kind}`;
}

function some(list, textOf) {
  const texts = list.slice(0, spelledOut).map(textOf);
  return list.length > spelledOut ? [...texts, `... and ${list.length - spelledOut} more like it`] : texts;
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
