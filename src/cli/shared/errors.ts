export { fetchErrorCode } from '../../util/http.js';

/** Ends the command with status 1. Its message is one sentence that says what to do, and holds no secret. */
export class CliError extends Error {
  readonly status: number = 1;
}

/** The command was called wrongly: status 2. */
export class UsageError extends CliError {
  override readonly status = 2;
}

/** Ends the command with a status and without a word, because another process has said what is wrong. */
export class ReportedElsewhere extends Error {
  readonly status: number;

  constructor(status: number) {
    super('reported by another process');
    this.status = status;
  }
}

/** Whatever was thrown, as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
