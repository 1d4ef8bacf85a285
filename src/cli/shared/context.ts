import type { Readable, Writable } from 'node:stream';

/** What a command has of the world: the process's own, or a test's. */
export interface CliContext {
  /** Set in a process that `serve --workers` has started. */
  readonly worker?: WorkerLink | undefined;
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

/** What a worker of `serve` has of its primary process. */
export interface WorkerLink {
  /** Counts from 1, and no later worker gets it again. */
  readonly id: number;
  /** Aborted when another worker has taken its place: it should end without refusing a delivery. */
  readonly replaced: AbortSignal;
  /** Calls `start` when the primary chooses this worker for what one process must do alone. */
  onLead(start: () => unknown): void;
  /**
   * Call it when the server is closed. Resolves when the primary passes on no connection to this worker any more, and
   * has taken those back that were on their way: they would hang until their senders give up.
   */
  leave(): Promise<void>;
  /** Sends what `measure` gives whenever the primary asks. Returns functions for the sum over all workers and the end. */
  shareMetrics(measure: () => Promise<Snapshot>): SharedMetrics;
}

/** The metrics of one process, as `getMetricsAsJSON()` of prom-client gives them. */
export type Snapshot = readonly object[];

interface SharedMetrics {
  /** The sums over all workers, in the format of Prometheus. */
  text(): Promise<string>;
  /** Leaves the last counts with the primary, so that no sum falls when this worker ends. */
  leave(): Promise<void>;
}
