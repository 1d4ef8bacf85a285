import type { Readable, Writable } from 'node:stream';

/** What a command has of the world: the process's own, or a test's. */
export interface CliContext {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths and `.env` are. */
  readonly cwd: string;
  /** Aborted by Ctrl-C and SIGTERM: end cleanly, and soon. */
  readonly interrupted: AbortSignal;
  /** Does something that a second Ctrl-C, or the end of the terminal, must not cut short. It has to end by itself. */
  undisturbed<Result>(work: () => Promise<Result>): Promise<Result>;
}
