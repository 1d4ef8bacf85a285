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
