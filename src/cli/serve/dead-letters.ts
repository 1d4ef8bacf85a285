import type { Command } from 'commander';
import type { DeadLetter, OutboxFile } from 'vast-webhook/sinks';
import { canAsk, isConfirmed } from '../shared/confirm.js';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { positiveInteger, wholeNumber } from '../shared/flag-values.js';
import { printable, printJson, printLine, printNote } from '../shared/print.js';
import { readSettings } from '../shared/settings.js';

interface Flags {
  readonly outbox?: string;
  readonly json?: true;
}

interface Selection extends Flags {
  readonly sink?: string;
}

const manual = `
A dead letter is an event that the outbox gave up to deliver to a sink. An event for a sink that \`serve\` no longer has
is listed, too, as gone: move it, or discard it. The file may be in use: a running \`serve\` notices within seconds.`;

export function addDeadLetters(program: Command, io: CliContext): void {
  const group = program
    .command('dead-letters')
    .description('List the events that an outbox could not deliver; redeliver, move or discard them.')
    .addHelpText('after', manual);
  const add = (name: string, description: string) =>
    group
      .command(name)
      .description(description)
      .option('--outbox <file>', 'the file that `serve --outbox` writes (default: VAST_WEBHOOK_OUTBOX)')
      .option('--json', 'print JSON');
  add('list', 'List them by sink, the oldest first.')
    .option('--sink <name>', 'only those of this sink')
    .option('--limit <number>', 'at most so many', positiveInteger, 100)
    .option('--offset <number>', 'leave out so many of the first ones', wholeNumber, 0)
    .action((flags: ListFlags) => using(io, flags, (outbox) => list(io, outbox, flags)));
  add('show', 'Show all that is known of an event, with the event.')
    .argument('<id>', "the event's id")
    .action((id: string, flags: Flags) =>
      using(io, flags, async (outbox) => show(io, await found(outbox, { id }), flags)),
    );
  add('redeliver', 'Deliver one event or all of them again.')
    .argument('[id]', "the event's id (default: all)")
    .option('--sink <name>', 'only to this sink')
    .action((id: string | undefined, flags: Selection) =>
      using(io, flags, (outbox) => redeliver(io, outbox, id, flags)),
    );
  add('move', 'Move one event, or all events of sinks that are gone, to another sink.')
    .argument('[id]', "the event's id (default: all)")
    .requiredOption('--to <sink>', 'the sink that gets them')
    .option('--from <sink>', 'only events of this sink (default: of sinks that are gone)')
    .action((id: string | undefined, flags: MoveFlags) => using(io, flags, (outbox) => move(io, outbox, id, flags)));
  add('discard', 'Delete one event or all of them for good, after asking.')
    .argument('[id]', "the event's id")
    .option('--all', 'all of them')
    .option('--sink <name>', 'only those of this sink')
    .option('-y, --yes', 'do not ask')
    .action((id: string | undefined, flags: DiscardFlags) =>
      using(io, flags, (outbox) => discard(io, outbox, id, flags)),
    );
}

/** Opens the file for one subcommand. */
async function using(io: CliContext, flags: Flags, work: (outbox: OutboxFile) => unknown): Promise<void> {
  const file = flags.outbox ?? (await readSettings(io))('VAST_WEBHOOK_OUTBOX');
  if (file === undefined) throw new UsageError('give the file of the outbox with --outbox');
  const { openOutboxFile } = await import('./outbox-file.js');
  const { outbox, close } = await openOutboxFile(file, io.cwd);
  try {
    await work(outbox);
  } finally {
    close();
  }
}

interface ListFlags extends Selection {
  readonly limit: number;
  readonly offset: number;
}

async function list(io: CliContext, outbox: OutboxFile, { sink, limit, offset, json }: ListFlags): Promise<void> {
  const { printTable } = await import('../shared/table.js');
  await requireSink(outbox, '--sink', sink);
  const letters = await all(outbox.deadLetters({ sink, limit, offset }));
  if (json) printJson(io, letters.map(summaryOf));
  else if (letters.length > 0) {
    printTable(io, [
      ['EVENT', 'SINK', 'FAILED', 'ATTEMPTS', 'ERROR'],
      ...letters.map((letter) => [
        letter.id,
        nameOf(letter),
        timeOf(letter.failedAt),
        String(letter.attempts),
        letter.error,
      ]),
    ]);
  }
  const count = (await outbox.stats())
    .filter((each) => sink === undefined || each.sink === sink)
    .reduce((sum, { dead, due, orphaned }) => sum + dead + (orphaned ? due : 0), 0);
  const more = count - offset - letters.length;
  if (more > 0) printNote(io, `${more} more: --offset ${offset + letters.length} shows the next.`);
  else if (count === 0 && !json) printNote(io, 'There is no dead letter.');
  else if (letters.length === 0) printNote(io, `There is none beyond the first ${count}: give a smaller --offset.`);
}

function show(io: CliContext, letters: readonly DeadLetter[], { json }: Flags): void {
  const shown = letters.map((letter) => ({ ...summaryOf(letter), event: eventOf(letter) }));
  if (json) {
    printJson(io, shown);
    return;
  }
  for (const letter of letters) {
    printLine(io, `event:    ${letter.id}`);
    printLine(io, `sink:     ${nameOf(letter)}`);
    printLine(io, `failed:   ${timeOf(letter.failedAt)}, attempts: ${letter.attempts}`);
    printLine(io, `error:    ${letter.error}`);
    printLine(io);
  }
  printJson(io, shown[0]?.event ?? null);
}

async function redeliver(
  io: CliContext,
  outbox: OutboxFile,
  id: string | undefined,
  { sink, json }: Selection,
): Promise<void> {
  await requireSink(outbox, '--sink', sink);
  const letters = id === undefined ? [] : await found(outbox, { id, sink });
  const gone = letters.filter(({ orphaned }) => orphaned);
  if (letters.length > 0 && gone.length === letters.length) {
    throw new CliError(`${nameOf(gone[0] as DeadLetter)}: move the event to another sink with move ${id} --to SINK`);
  }
  const redelivered = await outbox.redeliver({ id, sink });
  report(io, json, { redelivered }, `${eventsOf(redelivered)} redelivered.`);
}

interface MoveFlags extends Flags {
  readonly to: string;
  readonly from?: string;
}

async function move(
  io: CliContext,
  outbox: OutboxFile,
  id: string | undefined,
  { to, from, json }: MoveFlags,
): Promise<void> {
  const sinks = outbox.sinks();
  if (sinks === undefined) {
    throw new CliError('the file does not say which sinks its outbox has: start serve with it once');
  }
  if (!sinks.includes(to)) throw new CliError(`the outbox has no sink "${to}" (it has ${sinks.join(', ')})`);
  await requireSink(outbox, '--from', from);
  const letters = id === undefined ? [] : await found(outbox, { id, sink: from });
  if (from === undefined && letters.length > 0 && !letters.some(({ orphaned }) => orphaned)) {
    throw new CliError(`the event is for ${letters[0]?.sink}, which is not gone: give --from ${letters[0]?.sink}`);
  }
  const moved = await outbox.move({ to, from, id });
  report(io, json, { moved }, `${eventsOf(moved)} moved to ${to}.`);
}

interface DiscardFlags extends Selection {
  readonly all?: true;
  readonly yes?: true;
}

async function discard(
  io: CliContext,
  outbox: OutboxFile,
  id: string | undefined,
  { all, sink, yes, json }: DiscardFlags,
): Promise<void> {
  // Not simply all without an id: it may come from a variable that is empty.
  if ((id === undefined) === (all === undefined)) throw new UsageError('give the id of an event, or --all');
  if (!yes && !canAsk(io)) throw new UsageError('discard asks before it deletes, and this is no terminal: give --yes');
  await requireSink(outbox, '--sink', sink);
  const what = id === undefined ? 'all dead letters' : `the event ${id}`;
  if (id !== undefined) await found(outbox, { id, sink });
  const question = printable(`Delete ${what}${sink === undefined ? '' : ` of ${sink}`} for good?`);
  if (!yes && !(await isConfirmed(io, question))) throw new CliError('nothing was discarded');
  const discarded = await outbox.discard({ id, sink });
  report(io, json, { discarded }, `${eventsOf(discarded)} discarded.`);
  if (id !== undefined || sink !== undefined) return;
  for (const { sink: gone, due } of (await outbox.stats()).filter(({ orphaned, due }) => orphaned && due > 0)) {
    printNote(io, `${eventsOf(due)} for ${gone} (gone) left: --sink ${gone} discards them, too.`);
  }
}

/** One that the outbox has, or that events of it are for. Nothing would happen for another, and the status would be 0. */
async function requireSink(outbox: OutboxFile, flag: string, name: string | undefined): Promise<void> {
  if (name === undefined) return;
  const names = new Set([...(outbox.sinks() ?? []), ...(await outbox.stats()).map(({ sink }) => sink)]);
  if (names.has(name)) return;
  const known = names.size === 0 ? 'it has none yet' : `it has ${[...names].join(', ')}`;
  throw new CliError(`${flag}: the outbox has no sink "${name}" (${known})`);
}

async function all(letters: AsyncIterable<DeadLetter>): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for await (const letter of letters) found.push(letter);
  return found;
}

async function found(
  outbox: OutboxFile,
  which: { readonly id: string; readonly sink?: string | undefined },
): Promise<DeadLetter[]> {
  const letters = await all(outbox.deadLetters(which));
  if (letters.length > 0) return letters;
  const where = which.sink === undefined ? '' : ` of ${which.sink}`;
  throw new CliError(`there is no dead letter${where} with the id "${which.id}": list shows them`);
}

function report(io: CliContext, json: true | undefined, result: object, text: string): void {
  if (json) printJson(io, result);
  else printLine(io, text);
}

function summaryOf(letter: DeadLetter) {
  const { id, sink, orphaned, attempts, error, failedAt, delivery } = letter;
  return { id, sink, gone: orphaned, attempts, error, failed_at: timeOf(failedAt), provider: delivery?.provider };
}

function nameOf({ sink, orphaned }: DeadLetter): string {
  return orphaned ? `${sink} (gone)` : sink;
}

/** Of a row that something else has written, it may be no time. */
function timeOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'unknown' : date.toISOString();
}

function eventsOf(count: number): string {
  return count === 1 ? '1 event' : `${count} events`;
}

/** Undefined where the row cannot be read. */
function eventOf({ delivery }: DeadLetter): unknown {
  try {
    return JSON.parse(
      Buffer.from(String(delivery?.rawBody), 'base64')
        .toString()
        .replace(/^\uFEFF/, ''),
    );
  } catch {
    return undefined;
  }
}
