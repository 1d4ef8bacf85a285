import type { ErrorContext, Outcome } from './contracts/result.js';
import { atMostEvery } from './util/at-most-every.js';
import { printable, printableJson } from './util/printable.js';

/** Logs one line per failure. Failures that anybody can cause get a line of each kind in 10 s, with a count of the others. */
export function logOutcomes(): (outcome: Outcome) => void {
  const ofAnybody = atMostEvery(10_000, (outcome: Outcome, leftOut) => {
    const line = withCount(formatLine(outcome), leftOut);
    if (outcome.result === 'rejected') console.warn(line);
    else console.error(line);
  });
  return (outcome) => {
    if (outcome.result === 'accepted' || outcome.result === 'duplicate') return;
    if (outcome.result === 'rejected' || outcome.id === undefined) ofAnybody(outcome);
    else console.error(formatLine(outcome));
  };
}

export function logError(error: Error, { id, type, sink }: ErrorContext): void {
  const about = sink === undefined ? '' : ` sink=${printableJson(sink)}`;
  console.error(`vast-webhook: after the answer${about}${eventOf(id, type)}: ${printable(error.message)}`);
}

function formatLine({ result, status, code, reason, permanent, id, type, error }: Outcome): string {
  const what = reason === undefined ? code : `${code} (${reason})`;
  const lost = permanent && result === 'failed' ? ' and lost' : '';
  return `vast-webhook: ${result}${lost} ${status} ${what}${eventOf(id, type)}: ${printable(error?.message ?? '')}`;
}

/** Quotes both, because they are the sender's text and must stay on one line. */
function eventOf(id: string | undefined, type: string | undefined): string {
  if (id === undefined) return '';
  return ` event=${printableJson(id)}${type === undefined ? '' : ` type=${printableJson(type)}`}`;
}

function withCount(line: string, leftOut: number): string {
  return leftOut === 0 ? line : `${line} (${leftOut} more like it were left out)`;
}
