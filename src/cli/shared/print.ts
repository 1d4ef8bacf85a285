import { SingleBar } from 'cli-progress';
import { createColors } from 'picocolors';
import { atMostEvery } from '../../util/at-most-every.js';
import { printable, printableJson } from '../../util/printable.js';
import type { CliContext } from './context.js';

export { atMostEvery, printable, printableJson };

/** Colours on a terminal only, and not where NO_COLOR asks for none (no-color.org). */
export function coloursFor(io: CliContext): ReturnType<typeof createColors> {
  return createColors(hasColours(io));
}

function hasColours({ stdout, env }: CliContext): boolean {
  return stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** Nothing but our own colours may control the terminal, even where a text of others was not made `printable`. */
export function printLine(io: CliContext, line = ''): void {
  const parts = hasColours(io) ? line.split(colour) : [line];
  io.stdout.write(`${parts.map((part, index) => (index % 2 === 1 ? part : printable(part))).join('')}\n`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences of picocolors
const colour = /(\u001B\[\d{1,2}m)/;

/** For people who watch; scripts read stdout. */
export function printNote({ stderr }: CliContext, line: string): void {
  stderr.write(`${printable(line)}\n`);
}

export function printJson(io: CliContext, value: unknown): void {
  io.stdout.write(`${printableJson(value, 2)}\n`);
}

/** Rows in columns, the first row their heads. Cells are plain text: control characters of others are taken out. */
export function printTable(io: CliContext, rows: readonly (readonly string[])[]): void {
  const { bold } = coloursFor(io);
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  cells.forEach((row, index) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    printLine(io, index === 0 ? bold(line) : line);
  });
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
