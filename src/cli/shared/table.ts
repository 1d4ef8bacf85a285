import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';
import type { CliContext } from './context.js';
import { coloursFor, printable, printLine } from './print.js';

type Row = readonly string[];

const gap = 2;
/** Narrower than this, a column cannot be read. Then the lines are too long instead. */
const narrowest = 8;
const usualColumns = 80;

/**
 * Rows in columns, the first row their heads. Cells are plain text: control characters of others are taken out. On a
 * terminal, cells are wrapped so that the table fits. Elsewhere each row is one line, because scripts read lines.
 */
export function printTable(io: CliContext, rows: readonly Row[]): void {
  const { bold } = coloursFor(io);
  const cells = rows.map((row) => row.map(printable));
  const natural = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => stringWidth(row[column] ?? ''))));
  const { isTTY, columns } = io.stdout;
  // Some terminals say that they have 0.
  const widths = isTTY ? fitted(natural, columns || usualColumns) : natural;
  cells.forEach((row, index) => {
    for (const line of linesOf(row, widths)) printLine(io, index === 0 ? bold(line) : line);
  });
}

/** Takes the missing columns from the widest cells, so that short ones stay whole. */
function fitted(natural: readonly number[], columns: number): readonly number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width, (widths.length - 1) * gap) - columns;
  while (excess > 0) {
    const widest = Math.max(...widths);
    if (widest <= narrowest) break;
    widths[widths.lastIndexOf(widest)] = widest - 1;
    excess--;
  }
  return widths;
}

function linesOf(row: Row, widths: readonly number[]): readonly string[] {
  const wrapped = row.map((cell, column) => wrapAnsi(cell, widths[column] ?? 0, { hard: true }).split('\n'));
  const height = Math.max(...wrapped.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) =>
    wrapped.map((lines, column) => padded(lines[line], widths[column])),
  ).map((parts) => parts.join(' '.repeat(gap)).trimEnd());
}

function padded(text = '', width = 0): string {
  return text + ' '.repeat(Math.max(0, width - stringWidth(text)));
}
