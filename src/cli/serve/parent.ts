import type { CliContext } from '../shared/context.js';

const pollMs = 500;

/** Set in the environment of the processes of `serve --workers`. */
export const workerVariable = 'VAST_WEBHOOK_WORKER';

/**
 * Interrupts the command when the process that started it has ended: npm and npx end on a SIGTERM without passing it
 * on, and the command would go on and hold its port. Does so only under npm, because a shell may end before its
 * background jobs. Returns a function that ends the watch.
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
