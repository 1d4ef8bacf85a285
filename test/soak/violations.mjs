/** How many of a kind are spelled out. */
const spelledOut = 5;

/** The figures of a report, as the table shows them. */
export function figuresOf(report) {
  const { backend, events, attempts, sinks, kills, outages, pings, seconds } = report;
  return {
    backend,
    events: events.length,
    deliveries: sum(events.map(({ deliveries }) => deliveries)),
    attempts: attempts.length,
    kills: kills.length,
    outages: outages.length,
    'sink failures': sum(sinks.map(({ failures }) => failures)),
    received: sum(sinks.map(({ receipts }) => receipts.length)),
    repeats: sum(sinks.map((sink) => repeatsOf(report, sink).length)),
    allowed: sum(sinks.map((sink) => repeatsOf(report, sink).filter(({ why }) => why === undefined).length)),
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
      return `${sink} never got ${event}, which ${answeredAt === undefined ? 'was never answered 2xx' : 'had been answered 2xx'}`;
    }),
    ...some(earlyOf(report), ({ event, sink }) => `${event} was answered 2xx before ${sink} had it`),
    ...some(attempts.filter(isDrop), ({ event, status, code }) => {
      return `${event} was answered ${status} ${code ?? ''}, after which the sender gives it up`;
    }),
    ...some(
      events.filter(({ answeredAt, droppedWith }) => answeredAt === undefined && droppedWith === undefined),
      ({ id }) => `${id} was never answered 2xx, whatever the number of attempts`,
    ),
    ...sinks.flatMap((sink) => {
      const unexplained = repeatsOf(report, sink).filter(({ why }) => why !== undefined);
      return some(unexplained, ({ event, why }) => `${sink.name} got ${event} again, ${why}`);
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
  return sinks.flatMap(({ name: sink, receipts }) => {
    const received = new Set(receipts.map(({ event }) => event));
    const lost = events.filter(({ id }) => !received.has(id));
    return lost.map(({ id: event, answeredAt }) => ({ event, sink, answeredAt }));
  });
}

/** Behind a queue a 2xx is early if a sink never gets the event. */
function earlyOf({ isQueue, events, sinks }) {
  return sinks.flatMap(({ name: sink, receipts }) => {
    const first = new Map();
    for (const { event, at } of receipts) if (!first.has(event)) first.set(event, at);
    const isEarly = ({ id, answeredAt }) =>
      answeredAt !== undefined && !(first.get(id) <= (isQueue ? Number.POSITIVE_INFINITY : answeredAt));
    return events.filter(isEarly).map(({ id: event }) => ({ event, sink }));
  });
}

function isDrop({ status }) {
  return status >= 300 && status <= 499 && status !== 408 && status !== 429;
}

/** Each receipt that was not a sink's first of an event, and why it must not be, if so. */
function repeatsOf(report, { name: sink, receipts }) {
  const last = new Map();
  const repeats = [];
  for (const receipt of receipts) {
    const before = last.get(receipt.event);
    last.set(receipt.event, receipt);
    if (before !== undefined) repeats.push({ event: receipt.event, why: whyNot(report, sink, before, receipt) });
  }
  return repeats;
}

/**
 * Judged by what the processes knew when the repeat was begun, which they have written down, and not by how long
 * anything took: what is on record is not repeated by anybody, and what a process has seen a sink take not by that
 * process. Otherwise the process before was killed, or saw the sink fail, as when its answer came too late.
 */
function whyNot(report, sink, before, receipt) {
  const notes = notesOn(report, receipt.event).filter((note) => note.sink === undefined || note.sink === sink);
  const begun = notes.findLast(({ what, life, at }) => what === 'begun' && life === receipt.life && at <= receipt.at);
  const earlier = notes.filter(({ at }) => at < begun.at);
  const record = earlier.find(({ what }) => what === 'recorded');
  const during = duringOf(report, before.at, receipt.at);
  const ofBefore = earlier.filter(({ life }) => life === before.life);
  const isSame = before.life === receipt.life;
  if (isSame && ofBefore.some(({ what }) => what === 'took')) {
    return `though it had been seen to take it, by the same process ${before.life} ${during}`;
  }
  const isAtWork = ofBefore.filter(({ what }) => what === 'begun').length > ofBefore.filter(isEnd).length;
  if (isSame && isAtWork) return `while it was at it, by the same process ${before.life} ${during}`;
  if (record !== undefined) return `by ${receipt.life}, although ${record.life} had recorded it, ${during}`;
  const isKilled = report.kills.some(({ life }) => life === before.life);
  if (!isSame && !isKilled && !ofBefore.some(({ what }) => what === 'failed')) {
    return `by ${receipt.life} after ${before.life}, which had not been killed`;
  }
  return undefined;
}

function isEnd({ what }) {
  return what === 'took' || what === 'failed';
}

const indexes = new WeakMap();

function notesOn(report, event) {
  let index = indexes.get(report);
  if (index === undefined) {
    index = groupByEvent(report.notes);
    indexes.set(report, index);
  }
  return index.get(event) ?? [];
}

function groupByEvent(notes) {
  const index = new Map();
  for (const note of notes) {
    const list = index.get(note.event);
    if (list === undefined) index.set(note.event, [note]);
    else list.push(note);
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
