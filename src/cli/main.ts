#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { run } from './program.js';
import { endWithParent, workerVariable } from './serve/parent.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const { stdin, stdout, stderr, env } = process;
const interruption = new AbortController();
let hasBeenAsked = false;
let mustNotEnd = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A second interrupt means: do not wait.
    if (hasBeenAsked && !mustNotEnd) process.exit(130);
    if (hasBeenAsked)
      stderr.write('The answer that is waited for has the only copy of a secret: it takes 30 s at most.\n');
    hasBeenAsked = true;
    interruption.abort();
  });
}

async function undisturbed<Result>(work: () => Promise<Result>): Promise<Result> {
  const ignore = () => {};
  mustNotEnd = true;
  // Only meanwhile: a listener would undo nohup.
  process.on('SIGHUP', ignore);
  try {
    return await work();
  } finally {
    process.off('SIGHUP', ignore);
    mustNotEnd = false;
  }
}

// Loaded in workers only, because it loads node:cluster.
const worker = env[workerVariable]
  ? (await import('./serve/worker.js')).workerOf(() => interruption.abort())
  : undefined;

// The reader has closed the pipe, as `head` does.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Its primary has gone, and it ends when it has drained.
  if (worker && error.code === 'EPIPE') return;
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
endWithParent({ env }, () => interruption.abort());
process.exitCode = await run(
  process.argv.slice(2),
  { worker, stdin, stdout, stderr, env, cwd: process.cwd(), interrupted: interruption.signal, undisturbed },
  version,
);
// A channel to the process that started it would keep it alive, and so would what a worker's config has left open.
if (worker || process.connected) process.exit();
