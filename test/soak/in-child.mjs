// What service and worker have in common.
import { googleChat, slack } from 'vast-webhook/sinks';
import { Journal } from './journal.mjs';

export const config = JSON.parse(process.env.SOAK);

/** None in the long run, which is not killed. */
export const journal = config.journal === undefined ? undefined : new Journal(config.journal, config.life);

/** Nothing is left behind when the soak itself is stopped. */
process.on('disconnect', () => process.exit());

export function ready(message) {
  process.send(message ?? 'ready');
}

/** Ends the process in order. */
export function whenAsked(close) {
  process.on('SIGTERM', async () => {
    await close();
    process.exit(0);
  });
}

export function chatSinks() {
  const { slackUrl, googleChatUrl, sinkTimeoutMs: timeoutMs } = config;
  const sinks = [slack(slackUrl, { timeoutMs }), googleChat(googleChatUrl, { timeoutMs })];
  return sinks.map((sink) => journal.ofSink(sink));
}

export function logOutcome({ result, status, code, reason, id, sinks, durationMs, error }) {
  if (result === 'accepted' || result === 'duplicate') return;
  const why = code === 'sink_failed' ? '' : ` ${error?.message}`;
  console.log(`${result} ${status} ${reason ?? code} ${id} ${durationMs.toFixed()}ms ${textOf(sinks)}${why}`);
}

export function logError(error, { id, sink } = {}) {
  console.log(`error ${id} ${sink ?? ''} ${error.message}`);
}

function textOf(sinks = {}) {
  return Object.entries(sinks)
    .map(([name, result]) => `${name}=${result.message ?? result}`)
    .join(' ');
}
