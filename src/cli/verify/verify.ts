import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { NamedSecret } from '../secrets/candidates.js';
import { findSecrets } from '../secrets/candidates.js';
import { addSecretOptions, type SecretOptions } from '../secrets/flags.js';
import type { Capture } from '../shared/capture.js';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { positiveInteger } from '../shared/flag-values.js';
import { coloursFor, printable, printJson, printLine } from '../shared/print.js';
import { readSettings } from '../shared/settings.js';
import type { Diagnosis } from './diagnose.js';

interface Flags extends SecretOptions {
  readonly file?: string;
  readonly body?: string;
  readonly signature?: string;
  readonly timestamp?: string;
  readonly base64?: true;
  readonly receivedAt?: string;
  readonly tolerance: number;
  readonly json?: true;
}

const help = `
The request is JSON ({"headers": {...}, "body": "..."}, also of API Gateway or HAR) or an HTTP message as text, from
--file or standard input; or its parts are given one by one. Exit status 0 when it verifies, 1 otherwise.

  vast-webhook verify --file request.json
  vast-webhook verify --body body.bin --signature sha256=... --timestamp 1788000000`;

export function addVerify(program: Command, io: CliContext): void {
  addSecretOptions(
    program
      .command('verify')
      .description('Say why a captured request does not verify, and what to do about it.')
      .option('--file <file>', 'the captured request; - for standard input')
      .option('--body <file>', 'its raw body; - for standard input')
      .option('--signature <value>', 'its X-Vast-Signature-256 header')
      .option('--timestamp <value>', 'its X-Vast-Timestamp header')
      .option('--base64', 'the body is in base64')
      .option('--received-at <time>', 'when it arrived: a date, or Unix seconds')
      .option('--tolerance <seconds>', 'how old or early it may have been when it arrived', positiveInteger, 300),
  )
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action((flags: Flags) => verify(io, flags));
}

async function verify(io: CliContext, flags: Flags): Promise<void> {
  const [secret, ...others] = await findSecrets(io, flags);
  if (secret === undefined) {
    throw new CliError('there is no secret: set VAST_WEBHOOK_SECRET in the environment or .env, or give --secret-file');
  }
  const capture = await captureOf(io, flags);
  const { diagnose } = await import('./diagnose.js');
  const apiKey = (await readSettings(io))('VAST_API_KEY');
  const diagnosis = diagnose({
    capture,
    secrets: [secret, ...others],
    apiKey,
    toleranceSeconds: flags.tolerance,
    nowMs: Date.now(),
  });
  if (flags.json) printJson(io, { ...diagnosis, secretFrom: secret.from });
  else show(io, diagnosis, capture, secret);
  if (!diagnosis.verifies) throw new CliError('the request does not verify');
}

async function captureOf(io: CliContext, flags: Flags): Promise<Capture> {
  const { parseTime, fromBase64, readCapture } = await import('../shared/capture.js');
  const { file, body, signature, timestamp, base64 = false, receivedAt: givenTime } = flags;
  const receivedAt = givenTime === undefined ? undefined : parseTime(givenTime);
  if (givenTime !== undefined && receivedAt === undefined) {
    throw new UsageError('--received-at takes a date (2026-11-21T12:00:00Z) or Unix seconds');
  }
  if (body !== undefined && file !== undefined) throw new UsageError('give --file or --body, not both');
  if (body === undefined) {
    const bytes = await read(io, file ?? '-', 'the request');
    const capture = readCapture(bytes, base64);
    if (capture === undefined) {
      throw new CliError('this is no request: give JSON with "headers" and "body", or an HTTP message as text');
    }
    const headers = new Map([...capture.headers, ...headersFrom(signature, timestamp)]);
    return { ...capture, headers, receivedAt: receivedAt ?? capture.receivedAt };
  }
  if (signature === undefined) throw new UsageError('--body needs --signature and --timestamp, the two headers');
  const bytes = await read(io, body, 'the body');
  return {
    headers: new Map(headersFrom(signature, timestamp)),
    body: base64 ? fromBase64(bytes) : bytes,
    isParsed: false,
    receivedAt,
  };
}

function headersFrom(signature: string | undefined, timestamp: string | undefined): [string, string][] {
  return [
    ...(signature === undefined ? [] : [['x-vast-signature-256', signature] satisfies [string, string]]),
    ...(timestamp === undefined ? [] : [['x-vast-timestamp', timestamp] satisfies [string, string]]),
  ];
}

async function read({ cwd, stdin }: CliContext, path: string, what: string): Promise<Buffer> {
  if (path === '-') {
    if (stdin.isTTY) throw new UsageError(`give ${what} with --file, or on standard input`);
    return buffer(stdin);
  }
  try {
    return await readFile(resolve(cwd, path));
  } catch (error) {
    throw new CliError(`${what} cannot be read from ${path} (${(error as NodeJS.ErrnoException).code})`);
  }
}

function show(
  io: CliContext,
  { verifies, causes, notes, signedAt }: Diagnosis,
  { body }: Capture,
  { from, note: secretNote }: NamedSecret,
): void {
  const { bold, green, red } = coloursFor(io);
  printLine(io, verifies ? green('It verifies.') : red('It does not verify.'));
  for (const { code, cause, cure } of causes) {
    printLine(io);
    printLine(io, `${bold(code)}: ${printable(cause)}.`);
    printLine(io, `  What to do: ${printable(cure)}.`);
  }
  printLine(io);
  const signed = signedAt === undefined ? 'at an unknown time' : dateOf(signedAt);
  printLine(io, `Signed ${signed}, body of ${body.length} bytes, checked with ${from}.`);
  for (const note of [...notes, ...(secretNote ? [secretNote] : [])]) printLine(io, note);
}

/** What lies beyond a date's range is still a number. */
function dateOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `at ${seconds}` : date.toISOString();
}
