import type { ErrorContext, Outcome } from './contracts/result.js';

/** Logs one line per failure. Failures that anybody can cause get one line in 10 s, with a count of the others. */
export function logOutcomes(): (outcome: Outcome) => void {
  const warn = atMostEvery(10_000, (line) => console.warn(line));
  const errorOfUnverified = atMostEvery(10_000, (line) => console.error(line));
  return (outcome) => {
    if (outcome.result === 'rejected') warn(formatLine(outcome));
    else if (outcome.result !== 'failed') return;
    else if (outcome.id === undefined) errorOfUnverified(formatLine(outcome));
    else console.error(formatLine(outcome));
  };
}

export function logError(error: Error, { id, type, sink }: ErrorContext): void {
  const about = sink === undefined ? '' : ` sink=${JSON.stringify(sink)}`;
  console.error(`vast-webhook: after the answer${about}${eventOf(id, type)}: ${oneLine(error.message)}`);
}

function formatLine({ result, status, code, reason, permanent, id, type, error }: Outcome): string {
  const what = reason === undefined ? code : `${code} (${reason})`;
  const lost = permanent && result === 'failed' ? ' and lost' : '';
  return `vast-webhook: ${result}${lost} ${status} ${what}${eventOf(id, type)}: ${oneLine(error?.message ?? '')}`;
}

function oneLine(message: string): string {
  return message.replace(/\p{Cc}+/gu, ' ');
}

/** Quotes both, because they are the sender's text and must stay on one line. */
function eventOf(id: string | undefined, type: string | undefined): string {
  if (id === undefined) return '';
  return ` event=${JSON.stringify(id)}${type === undefined ? '' : ` type=${JSON.stringify(type)}`}`;
}

function atMostEvery(ms: number, print: (line: string) => void): (line: string) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (line) => {
    const now = performance.now();
    if (now < nextAt) {
      leftOut++;
      return;
    }
    nextAt = now + ms;
    print(leftOut === 0 ? line : `${line} (${leftOut} more like it were left out)`);
    leftOut = 0;
  };
}
