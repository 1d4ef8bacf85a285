import type { CliContext } from '../shared/context.js';

const pollMs = 500;

/**
 * Interrupts the command when the process that started it has gone: npm and npx end on a SIGTERM without passing it
 * on, and what they have started would live on and hold its port. Only where npm has started it, since a shell may
 * end before what it has put into the background. Gives what ends the watch.
 */
export function endWithParent({ env }: Pick<CliContext, 'env'>, interrupt: () => void): () => void {
  if (!env.npm_command) return () => {};
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    interrupt();
  }, pollMs);
  timer.unref();
  return () => clearInterval(timer);
}
