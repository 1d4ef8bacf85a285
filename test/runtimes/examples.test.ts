import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, inject, it, onTestFinished } from 'vitest';
import { signedDelivery } from '../../src/testing/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';

const programs = inject('runtimes');
const project = inject('runtimesProject');
const examples = fileURLToPath(new URL('../../examples/', import.meta.url));
const secret = 'a-secret-of-the-tests';
const event = { event_id: 'the-event', notif_type: 'outbid', subject: 'Outbid', message: 'Your bid was too low' };

/** Starts a program that prints the address of its endpoint. */
async function start(
  program: string,
  args: string[],
  env: Record<string, string>,
  listening = /^Listening on (http:\S+)$/,
): Promise<[string, ChildProcess]> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(program, args, {
    cwd: project,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH, HOME, NODE_NO_WARNINGS: '1', VAST_WEBHOOK_SECRET: secret, PORT: '0', ...env },
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const [, ...groups] = listening.exec(line) ?? [];
      const address = groups.find(Boolean);
      if (address) resolve(address);
    });
    child.once('exit', (status) => reject(new Error(`${program} ended with ${status}`)));
  });
  return [url, child];
}

async function send(url: string): Promise<number> {
  const { body, headers } = signedDelivery(event, secret);
  return (await fetch(url, { method: 'POST', body, headers })).status;
}

const command = 'node_modules/vast-webhook/dist/cli/main.js';

it.each([
  ['Node.js 20.0.0', [command]],
  ['Node.js 26', [command]],
  ['Bun', ['x', 'vast-webhook']],
  ['Bun', ['x', '--bun', 'vast-webhook']],
  ['Deno', ['run', '-A', 'npm:vast-webhook']],
])('the command serves on %s, with the arguments %j', async (name, args) => {
  const program = programs[name];
  if (program === undefined) return;
  const chat = await slackStandIn();
  onTestFinished(() => chat.close());
  const log = /(http:\/\/127\S+\/vast\/webhooks)/;
  const env = { SLACK_WEBHOOK_URL: chat.url, HOST: '127.0.0.1' };
  const [url, child] = await start(program, [...args, 'serve', '--port', '0'], env, log);
  expect(await send(new URL('/vast/webhooks', url).href)).toBe(204);
  expect(chat.messages).toHaveLength(1);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

it.each([
  ['Bun', 'bun', [] as string[]],
  ['Deno', 'deno', ['run', '--allow-env', '--allow-net', '--allow-read', '--allow-write']],
])('examples/%s delivers an event once, also after a restart, and stops cleanly', async (name, folder, args) => {
  const program = programs[name];
  if (program === undefined) return;
  const chat = await slackStandIn();
  onTestFinished(() => chat.close());
  const file = join(project, `example-${folder}.mjs`);
  await cp(join(examples, folder, 'server.mjs'), file);
  const env = { SLACK_WEBHOOK_URL: chat.url, DATABASE: join(project, `${folder}.db`) };
  for (let run = 0; run < 2; run++) {
    const [url, child] = await start(program, [...args, file], env);
    expect(await send(url)).toBe(204);
    expect(await send(url)).toBe(204);
    expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(401);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  }
  expect(chat.messages).toHaveLength(1);
});

it.skipIf(!programs.workerd || !programs['Node.js 22'])(
  'examples/cloudflare-worker answers when its queue has the event, and delivers it once',
  async () => {
    const chat = await slackStandIn();
    onTestFinished(() => chat.close());
    const bundled = join(project, 'example-worker.mjs');
    // From the project, whose package is the packed one.
    const copied = join(project, 'worker-source.mjs');
    await cp(join(examples, 'cloudflare-worker/worker.mjs'), copied);
    await build({
      entryPoints: [copied],
      outfile: bundled,
      bundle: true,
      format: 'esm',
      platform: 'node',
      external: ['node:*'],
      conditions: ['workerd', 'worker'],
    });
    const args = ['miniflare-example.mjs', bundled];
    const [url] = await start(programs['Node.js 22'] as string, args, { SLACK_WEBHOOK_URL: chat.url });
    expect(await send(url)).toBe(204);
    expect(await send(url)).toBe(204);
    await expect.poll(() => chat.messages.length).toBe(1);
    expect(await send(url)).toBe(204);
    expect(chat.messages).toHaveLength(1);
  },
);
