import { Command, CommanderError } from 'commander';
import { addCompletion } from './completion.js';
import { addDev } from './dev/dev.js';
import { addDoctor } from './doctor/doctor.js';
import { addCreate } from './manage/create.js';
import { addDelete } from './manage/delete.js';
import { addList } from './manage/list.js';
import { addRotateSecret } from './manage/rotate-secret.js';
import { addTest } from './manage/test.js';
import { addTypes } from './manage/types.js';
import { addUpdate } from './manage/update.js';
import { addReplay } from './send/replay.js';
import { addTrigger } from './send/trigger.js';
import { addDeadLetters } from './serve/dead-letters.js';
import { addServe } from './serve/serve.js';
import type { CliContext } from './shared/context.js';
import { CliError, ReportedElsewhere, toError } from './shared/errors.js';
import { asksForJsonLog, jsonLogLine } from './shared/log-line.js';
import { printableJson, printLine, printNote } from './shared/print.js';
import { addVerify } from './verify/verify.js';

/**
 * Runs the command with its arguments, without the program's name. Gives the exit status: 0, 1 when it failed, 2 when it
 * was called wrongly. What a subcommand needs to run is loaded when it does.
 */
export async function run(args: readonly string[], io: CliContext, version: string): Promise<number> {
  // A log of JSON has no other lines, also when nothing comes of the start.
  const report = asksForJsonLog(args)
    ? (message: string) => printLine(io, jsonLogLine('error', message, { worker: io.worker?.id }))
    : (message: string) => printNote(io, `vast-webhook: ${message}`);
  const program = new Command('vast-webhook')
    .description('Receive Vast.ai webhooks without code, manage them, and find out why a delivery fails.')
    .version(version)
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => (asksForJsonLog(args) ? undefined : io.stderr.write(text)),
      outputError(text) {
        const message = withoutValues(text.trimEnd(), args);
        if (asksForJsonLog(args)) report(message);
        else printNote(io, message);
      },
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  const add = [
    addServe,
    addDeadLetters,
    addDev,
    addDoctor,
    addVerify,
    addTrigger,
    addReplay,
    addTypes,
    addList,
    addCreate,
    addUpdate,
    addDelete,
    addRotateSecret,
    addTest,
    addCompletion,
  ];
  for (const addTo of add) addTo(program, io);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    return statusOf(error, io, report);
  }
}

/** Commander repeats what it does not understand. That may be a secret, or an address that has one. */
function withoutValues(text: string, args: readonly string[]): string {
  return args.reduce((left, arg) => {
    const [, name, value = arg] = /^(--[\w-]+)=(.*)$/s.exec(arg) ?? [];
    const named = name === undefined ? left : left.replaceAll(`'${arg}'`, `'${name}'`);
    return value.includes('://') ? named.replaceAll(`'${value}'`, "'...'") : named;
  }, text);
}

function statusOf(error: unknown, io: CliContext, report: (message: string) => void): number {
  // Commander has printed its own; help and version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ReportedElsewhere) return error.status;
  const { name, message } = toError(error);
  report(name === 'AbortError' && io.interrupted.aborted ? 'it was interrupted' : message);
  // By its name, so that the clients are not loaded for each subcommand.
  const { details, requestId } = (name === 'ApiError' ? error : {}) as { details?: unknown; requestId?: string };
  if (details !== undefined) printNote(io, `details: ${printableJson(details)}`);
  if (requestId !== undefined) printNote(io, `request: ${requestId}`);
  return error instanceof CliError ? error.status : 1;
}
