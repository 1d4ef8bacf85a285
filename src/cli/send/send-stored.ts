import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { type SecretOptions, senderSecret } from '../secrets/flags.js';
import type { CliContext } from '../shared/context.js';
import { CliError } from '../shared/errors.js';
import { printJson, printLine } from '../shared/print.js';
import { showProgress } from '../shared/progress.js';
import { readSettings } from '../shared/settings.js';
import { printTable } from '../shared/table.js';
import { runLoad } from './load.js';
import {
  type Answered,
  adviceFor,
  deadlineIn,
  isAccepted,
  nameOf,
  sender,
  statusOf,
  targetOf,
} from './post-delivery.js';
import { readDeliveries, type StoredDelivery } from './stored-deliveries.js';

export interface ReplayOptions extends SecretOptions {
  readonly url: string;
  readonly rate?: number;
  readonly connections: number;
  readonly deadline?: number;
  readonly json?: true;
}

interface Result {
  readonly delivery: StoredDelivery;
  readonly answered: Answered;
}

export async function replay(file: string, options: ReplayOptions, io: CliContext): Promise<void> {
  const { rate, connections, deadline, json } = options;
  const url = targetOf(options.url);
  const secret = await senderSecret(options, await readSettings(io), io);
  const deliveries = readDeliveries(await contentOf(file, io));
  const results: Result[] = [];
  const deadlineAt = deadlineIn(deadline);
  const to = sender(url, connections, { secret }, io.interrupted, deadlineAt);
  const progress = showProgress(io, 'sending', deliveries.length);
  try {
    const send = async (index: number) => {
      const delivery = deliveries[index] as StoredDelivery;
      const answered = await to.send(delivery.body, delivery.eventId);
      results[index] = { delivery, answered };
      return answered;
    };
    const plan = { count: deliveries.length, rate, connections, deadlineAt };
    await runLoad(plan, send, io.interrupted, () => progress.advance());
  } finally {
    progress.end();
    to.close();
  }
  const failed = results.filter(({ answered }) => !isAccepted(answered));
  if (json) printResultsAsJson(io, url, deliveries.length, results);
  else printResults(io, url, deliveries.length, results.length, failed);
  if (results.length < deliveries.length) {
    const why = io.interrupted.aborted ? 'interrupted' : `ended by --deadline ${deadline}`;
    throw new CliError(`${why} after ${results.length} of ${deliveries.length} deliveries`);
  }
  const [first] = failed;
  if (first === undefined) return;
  const count = failed.length === 1 ? 'one delivery was' : `${failed.length} deliveries were`;
  throw new CliError(`${count} not accepted; at ${first.delivery.place} ${adviceFor(first.answered, url)}`);
}

async function contentOf(file: string, { stdin, cwd }: CliContext): Promise<string> {
  if (file === '-') return text(stdin);
  const path = resolve(cwd, file);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CliError(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}): give a file with deliveries`,
    );
  }
}

function printResultsAsJson(io: CliContext, url: URL, total: number, results: readonly Result[]): void {
  printJson(io, {
    url: nameOf(url),
    total,
    sent: results.length,
    accepted: results.filter(({ answered }) => isAccepted(answered)).length,
    results: results.map(({ delivery: { place, eventId }, answered: { status, error, body, ms } }) => ({
      place,
      event_id: eventId,
      status,
      error,
      body,
      ms: Math.round(ms * 100) / 100,
    })),
  });
}

function printResults(io: CliContext, url: URL, total: number, sent: number, failed: readonly Result[]): void {
  printLine(io, `${sent - failed.length} of ${total} accepted by ${nameOf(url)}`);
  if (failed.length === 0) return;
  const rows = failed.map(({ delivery: { place, eventId = '' }, answered }) => [
    place,
    eventId,
    statusOf(answered),
    answered.body,
  ]);
  printTable(io, [['not accepted', 'event', 'answer', 'body'], ...rows]);
}
