import { SingleBar } from 'cli-progress';
import type { CliContext } from './context.js';

export interface Progress {
  advance(by?: number): void;
  end(): void;
}

/** A bar on a terminal, and nothing elsewhere. */
export function showProgress({ stderr }: CliContext, what: string, total: number): Progress {
  if (stderr.isTTY !== true) return { advance() {}, end() {} };
  const format = `${what} [{bar}] {value}/{total} {eta_formatted}`;
  const bar = new SingleBar({
    format,
    stream: stderr as NodeJS.WritableStream,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return { advance: (by = 1) => bar.increment(by), end: () => bar.stop() };
}
