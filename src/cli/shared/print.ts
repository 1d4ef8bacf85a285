import { SingleBar } from 'cli-progress';
import { createColors } from 'picocolors';
import type { CliContext } from './context.js';

/** Colours on a terminal only, and not where NO_COLOR asks for none (no-color.org). */
export function coloursFor({ stdout, env }: CliContext): ReturnType<typeof createColors> {
  return createColors(stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb');
}

export function printLine({ stdout }: CliContext, line = ''): void {
  stdout.write(`${line}\n`);
}

/** For people who watch; scripts read stdout. */
export function printNote({ stderr }: CliContext, line: string): void {
  stderr.write(`${line}\n`);
}

export function printJson(io: CliContext, value: unknown): void {
  printLine(io, JSON.stringify(value, undefined, 2));
}

/** Rows in columns, the first row their heads. Cells are plain text: control characters of others are taken out. */
export function printTable(io: CliContext, rows: readonly (readonly string[])[]): void {
  const { bold } = coloursFor(io);
  const cells = rows.map((row) => row.map(withoutControls));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  cells.forEach((row, index) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    printLine(io, index === 0 ? bold(line) : line);
  });
}

/** Text of others must not move the cursor or colour the terminal. */
export function withoutControls(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

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
