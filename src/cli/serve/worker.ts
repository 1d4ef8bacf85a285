import cluster from 'node:cluster';
import { EventEmitter, once } from 'node:events';
import type { Snapshot, WorkerLink } from '../shared/context.js';

/**
 * What the primary sends to a worker. `retire`: another worker has taken its place. `lead`: do what one process must do
 * alone. `measure`: send a snapshot of the metrics. `bye` answers the same.
 */
export type ToWorker = 'close' | 'retire' | 'lead' | 'measure' | 'bye' | { readonly metrics: string };

/** What a worker sends to the primary. `bye`: its server is closed. */
export type ToPrimary = 'askMetrics' | 'bye' | { readonly measured: Snapshot };

/** How long the primary may take to answer. */
const metricsWithinMs = 5_000;
const byeWithinMs = 1_000;

/** This process as a worker of `serve --workers`, or undefined if it is none. `interrupt` ends the command cleanly. */
export function workerOf(interrupt: () => void): WorkerLink | undefined {
  const { worker } = cluster;
  if (worker === undefined) return undefined;
  const replaced = new AbortController();
  const answers = new EventEmitter();
  let lead: () => unknown = () => {};
  let measure: (() => Promise<Snapshot>) | undefined;
  // Without a primary there is nobody to send to, and the worker is ending.
  const send = (message: ToPrimary) => new Promise((resolve) => process.send?.(message, resolve) ?? resolve(undefined));
  const sendMeasured = async () => {
    // Of a worker that cannot measure, the primary has what it has sent before.
    const measured = await measure?.().catch(() => undefined);
    if (measured !== undefined) await send({ measured });
  };
  process.on('message', (message: ToWorker) => {
    if (message === 'close') interrupt();
    else if (message === 'retire') replaced.abort();
    else if (message === 'lead') lead();
    else if (message === 'measure') void sendMeasured();
    else if (message === 'bye') answers.emit('bye');
    else answers.emit('metrics', message.metrics);
  });
  worker.on('disconnect', () => {
    // The primary was killed. node:cluster would end this process at once, and cut off what it is delivering.
    worker.exitedAfterDisconnect = true;
    interrupt();
  });
  // The end of a terminal reaches the primary, too, which decides.
  process.on('SIGHUP', () => {});
  return {
    id: worker.id,
    replaced: replaced.signal,
    onLead(start) {
      lead = start;
    },
    async leave() {
      const answer = once(answers, 'bye', { signal: AbortSignal.timeout(byeWithinMs) });
      void send('bye');
      await answer.catch(() => {});
    },
    shareMetrics(own) {
      measure = own;
      return {
        async text() {
          const answer = once(answers, 'metrics', { signal: AbortSignal.timeout(metricsWithinMs) });
          void send('askMetrics');
          const [text] = await answer;
          return text;
        },
        leave: sendMeasured,
      };
    },
  };
}
