/** The rules that must hold, whatever was sent. */
import { isPlain } from './faults.js';
import { type Seen, terms } from './observer.js';
import type { Report } from './server.js';
import type { Wire } from './wire.js';

/** The observations of a case. `during` is the state of the service before we hung up. */
export interface Evidence {
  readonly wires: readonly Wire[];
  readonly during: Report;
  readonly after: Report;
}

/** Violations, as sentences. */
export function violationsOf({ wires, during, after }: Evidence): string[] {
  const violations = [
    ...wires.flatMap((wire) => onTheWire(wire, during, after)),
    ...after.requests.flatMap((request) => [...ofRequest(request), ...late(request, after)]),
    ...ofOutcomes(after),
    ...ofCalls(after),
    ...ofPlainEvents(wires, after),
    ...(after.isSettled ? [] : [unsettled(after)]),
    ...during.troubles,
    ...after.troubles,
  ];
  return [...new Set(violations)];
}

function unsettled({ requests, outcomes, calls, held }: Report): string {
  const isOver = (list: readonly { isOver: boolean }[]) => list.filter(({ isOver }) => !isOver).length;
  const due = requests.filter(({ reach }) => reach === 'endpoint').length;
  return (
    `not all came to its end: ${isOver(requests)} requests and ${isOver(calls)} calls are open, ${held} claims held, ` +
    `with ${outcomes.length} of ${due} outcomes`
  );
}

/** One answer or a closed connection for each request. */
function onTheWire(wire: Wire, during: Report, after: Report): string[] {
  const requests = after.requests.filter(({ port }) => port === wire.port);
  const isOurs = wire.lane.end !== 'wait';
  const answered = requests.filter(({ status }) => status !== undefined);
  const { own, rest } = wire.answers(answered);
  const stumbled = after.stumbled.includes(wire.port);
  const violations: string[] = [];
  if (rest !== '' && !(isOurs || wire.isClosed)) violations.push(`an answer that is none: ${JSON.stringify(rest)}`);
  if (own.length > answered.length) {
    violations.push(`${own.length} answers to ${answered.length} requests: ${own}`);
  }
  for (const [i, status] of own.entries()) {
    const request = answered[i];
    if (request && request.status !== status) violations.push(`${status} came for what was answered ${request.status}`);
  }
  // When the parser stumbles over what comes behind, the server drops the connection with what is on its way. And who
  // still sends when it is closed gets a reset.
  const due = during.requests.filter(({ port, status }) => port === wire.port && status !== undefined);
  const isRead = due.every(({ isWhole }) => isWhole);
  if (own.length < due.length && !isOurs && !stumbled && isRead) {
    violations.push(
      `of the answers ${due.map(({ status }) => status)} there came ${JSON.stringify(wire.received.toString('latin1'))}`,
    );
  }
  if (!during.isSettled && !wire.isClosed) {
    const hanging = during.requests.filter(
      ({ port, isOver, reach }) => port === wire.port && !isOver && reach === 'endpoint',
    );
    violations.push(...hanging.map(({ method, target }) => `${method} ${target} was never answered`));
    if (hanging.length === 0) violations.push('what was sent was never read, and the connection is open');
  }
  return violations;
}

/** Genuine or not, by a check that shares nothing with the middleware's. */
function ofRequest({ reach, flaw, status, event, isWhole, bodyMs, method, target }: Seen): string[] {
  if (status === undefined || reach === 'elsewhere') return [];
  const what = `${method} ${target}`;
  if (flaw !== undefined) {
    if (status < 300) return [`${what} was answered ${status} in spite of ${flaw}`];
    // Frameworks may parse odd targets in their own way.
    if (status >= 500 && reach === 'endpoint') return [`${what} was answered ${status}, but is merely wrong: ${flaw}`];
    return [];
  }
  if (reach !== 'endpoint') return [];
  const isSlow = !isWhole || (bodyMs ?? 0) >= terms.bodyTimeoutMs - 20;
  if (event === undefined)
    return status === 400 || (status === 408 && isSlow) ? [] : [`${what} without an event was answered ${status}`];
  if (status < 400 || status >= 500 || (status === 408 && isSlow)) return [];
  return [`${what} is genuine and intact, and was answered ${status}`];
}

/** By the deadline, unless handlers answer: behind theirs all answers on a connection wait. */
function late({ reach, answerMs = 0, status }: Seen, { isHandedOn, stallMs }: Report): string[] {
  if (reach !== 'endpoint' || isHandedOn) return [];
  if (answerMs <= terms.deadlineMs + 300 + stallMs) return [];
  return [`${status} took ${answerMs.toFixed()} ms, and the process was held up for ${stallMs.toFixed()} ms`];
}

/** One for each request on the endpoint, and with its status. */
function ofOutcomes({ requests, outcomes }: Report): string[] {
  const sure = requests.filter(({ reach }) => reach === 'endpoint');
  const most = requests.filter(({ reach }) => reach !== 'elsewhere').length;
  const violations: string[] = [];
  if (outcomes.length < sure.length || outcomes.length > most) {
    violations.push(`${outcomes.length} outcomes for ${sure.length} requests on the endpoint`);
  }
  const published = outcomes.map(({ status }) => status);
  for (const { status } of sure) {
    if (status === undefined) continue;
    const at = published.indexOf(status);
    if (at === -1) violations.push(`no outcome has the ${status} that was answered`);
    else published.splice(at, 1);
  }
  return violations;
}

/** No sink and no handler is called for a forgery, or more often than allowed. */
function ofCalls({ requests, calls, granted }: Report): string[] {
  const genuine = new Set(requests.filter(({ flaw }) => flaw === undefined).map(({ hash }) => hash));
  const violations: string[] = [];
  const counts = new Map<string, { who: string; id: string; times: number; taken: number }>();
  for (const { who, id, hash, took } of calls) {
    if (!genuine.has(hash)) violations.push(`${who} was called with ${id}, which nothing genuine has brought`);
    const { times, taken } = counts.get(`${who} ${id}`) ?? { times: 0, taken: 0 };
    counts.set(`${who} ${id}`, { who, id, times: times + 1, taken: taken + Number(took) });
  }
  for (const { who, id, times, taken } of counts.values()) {
    if (times > (granted[id] ?? 0))
      violations.push(`${who} was called ${times} times with ${id}, claimed ${granted[id] ?? 0} times`);
    if (taken > 1 && who !== 'handler') violations.push(`${who} got ${id} ${taken} times`);
  }
  return violations;
}

/** Without a fault, the event is accepted. */
function ofPlainEvents(wires: readonly Wire[], { requests, stumbled }: Report): string[] {
  const waited = new Set(wires.filter(({ lane }) => lane.end === 'wait').map(({ port }) => port));
  const violations: string[] = [];
  const plain = requests.filter(({ port, reach, flaw, event, status }) => {
    const isSeen = waited.has(port) && !stumbled.includes(port);
    return (
      isSeen &&
      reach === 'endpoint' &&
      flaw === undefined &&
      isPlain(event?.id) &&
      status !== undefined &&
      status !== 408
    );
  });
  for (const { event } of plain) {
    const same = plain.filter((request) => request.event?.id === event?.id);
    if (!same.some(({ status = 0 }) => status < 300 || status === 503)) {
      violations.push(`${event?.id} is genuine, and was answered ${same.map(({ status }) => status)}`);
    }
  }
  return violations;
}
