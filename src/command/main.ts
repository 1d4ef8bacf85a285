#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { endWithParent } from './parent.js';
import { run } from './run.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const interruption = new AbortController();
let hasBeenAsked = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Whoever asks twice does not want to wait.
    if (hasBeenAsked) process.exit(130);
    hasBeenAsked = true;
    interruption.abort();
  });
}

const { stdin, stdout, stderr, env } = process;
// Whoever reads has read enough, as `head` does.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
endWithParent({ env }, () => interruption.abort());
process.exitCode = await run(
  process.argv.slice(2),
  { stdin, stdout, stderr, env, cwd: process.cwd(), interrupted: interruption.signal },
  version,
);
