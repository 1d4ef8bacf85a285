import type { CliContext } from './context.js';

/** Whether both ends are a terminal, where a person can be asked. */
export function canAsk({ stdin, stderr }: CliContext): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/** The question must be `printable`. */
export async function isConfirmed({ stdin, stderr, interrupted }: CliContext, question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: stdin, output: stderr });
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    // The end of the input is a no, too.
    const answer = await Promise.race([terminal.question(`${question} [y/N] `, { signal: interrupted }), closed]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
