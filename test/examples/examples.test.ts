import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleEvent } from '../../src/testing/index.js';
import { describeWithPrivateRedis } from '../support/backends.js';
import {
  type ChatStandIn,
  type GoogleChatStandInMessage,
  googleChatStandIn,
  type SlackStandInMessage,
  slackStandIn,
} from '../support/chat-stand-in.js';
import { startRedis } from '../support/servers.mjs';
import { temporaryFile } from '../support/temporary-file.js';
import type { Program } from './checkout.js';
import { documentedExamples, expectCleanStop, readmeOf, send } from './documented.js';

const { run, start } = documentedExamples();

describe.each([
  ['express', ['VAST_WEBHOOK_SECRET', 'SLACK_WEBHOOK_URL']],
  ['koa', ['VAST_WEBHOOK_SECRET', 'GOOGLE_CHAT_URL']],
  ['handoff', ['VAST_WEBHOOK_SECRET']],
  ['custom-sink', ['VAST_WEBHOOK_SECRET', 'PAGER_URL']],
  ['outbox', ['VAST_WEBHOOK_SECRET', 'SLACK_WEBHOOK_URL']],
])('examples/%s', (example, variables) => {
  it.each(variables)('says in one sentence that %s is missing', async (missing) => {
    const env = Object.fromEntries(variables.map((name) => [name, 'https://chat.example/hook']));
    delete env[missing];
    const program = await run(example, env);
    expect(await program.exited).toBe(1);
    expect(program.stdout).toBe('');
    expect(program.stderr).toMatch(/^Set [^\n]+\.\n$/);
    for (const name of variables) expect(program.stderr).toContain(name);
  });

  it('documents the environment variables that it reads', async () => {
    const readme = await readmeOf(example);
    for (const name of [...variables, 'PORT']) expect(readme).toContain(`\`${name}\``);
  });

  it('also stops on SIGINT', async () => {
    const env = Object.fromEntries(variables.slice(1).map((name) => [name, 'https://chat.example/hook']));
    const { program } = await start(example, env);
    await expectCleanStop(program, 'SIGINT');
  });
});

describe('examples/express', () => {
  let slack: ChatStandIn<SlackStandInMessage>;
  beforeAll(async () => {
    slack = await slackStandIn();
  });
  afterAll(() => slack.close());

  it('delivers to Slack the events that need action, and logs everything', async () => {
    const { program, url } = await start('express', { SLACK_WEBHOOK_URL: slack.url });
    const outbid = sampleEvent('outbid');
    const test = sampleEvent('webhook_test');
    expect((await send(url, outbid)).status).toBe(204);
    expect((await send(url, outbid, { attempt: 2 })).status).toBe(204);
    expect((await send(url, test)).status).toBe(204);
    expect((await send(url, sampleEvent('outbid'), { timestamp: 1 })).status).toBe(401);

    expect(slack.messages.map(({ text }) => text)).toEqual([expect.stringContaining(outbid.event_id)]);
    await program.printed(/webhook_test: /);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
    expect(program.stdout.split('\n').slice(1)).toEqual([
      `outbid: ${outbid.subject}`,
      `webhook_test: ${test.subject}`,
      '',
    ]);
    expect(program.stderr).toMatch(/^vast-webhook: rejected 401 invalid_signature \(stale_timestamp\): .*\n$/);
  });

  it('lets other routes be', async () => {
    const { program, url } = await start('express', { SLACK_WEBHOOK_URL: slack.url });
    expect(await (await fetch(new URL('/health', url))).json()).toEqual({ ok: true });
    await expectCleanStop(program);
  });

  it('finishes running deliveries before it stops', async () => {
    const { program, url } = await start('express', { SLACK_WEBHOOK_URL: slack.url });
    const asked = new Promise<ServerResponse>((resolve) => {
      slack.misbehave = resolve;
    });
    const answer = send(url, sampleEvent('outbid'));
    const held = await asked;
    slack.misbehave = undefined;
    program.kill('SIGTERM');
    held.end('ok');
    expect((await answer).status).toBe(204);
    expect(await program.exited).toBe(0);
  });
});

describe('examples/koa', () => {
  let chat: ChatStandIn<GoogleChatStandInMessage>;
  beforeAll(async () => {
    chat = await googleChatStandIn();
  });
  afterAll(() => chat.close());

  it('delivers to Google Chat and the log, each event once', async () => {
    const { program, url } = await start('koa', { GOOGLE_CHAT_URL: chat.url });
    const event = sampleEvent('low_credit');
    expect((await send(url, event)).status).toBe(204);
    expect((await send(url, event, { attempt: 2 })).status).toBe(204);
    expect(chat.messages.map(({ text }) => text)).toEqual([expect.stringContaining(event.event_id)]);
    await program.printed(/low_credit: /);
    expect(await (await fetch(new URL('/health', url))).json()).toEqual({ ok: true });
    await expectCleanStop(program);
    expect(program.stdout.split('\n').slice(1)).toEqual([`low_credit: ${event.subject}`, '']);
  });
});

describe('examples/handoff', () => {
  it('lets the handler do the work, once an event', async () => {
    const { program, url } = await start('handoff', {});
    const outbid = sampleEvent('outbid');
    const test = sampleEvent('webhook_test');
    expect((await send(url, outbid)).status).toBe(204);
    expect((await send(url, outbid, { attempt: 2 })).status).toBe(204);
    expect((await send(url, test)).status).toBe(204);
    await program.printed(new RegExp(`done with ${test.event_id}`));
    await expectCleanStop(program);
    expect(program.stdout.split('\n').slice(1)).toEqual([
      `would raise the bid: ${outbid.subject}`,
      `done with ${outbid.event_id}`,
      'nothing to do for webhook_test',
      `done with ${test.event_id}`,
      '',
    ]);
  });
});

describe('examples/custom-sink', () => {
  let answer: (res: ServerResponse) => void;
  const alarms: unknown[] = [];
  const pager = createServer(async (req, res) => {
    alarms.push(await json(req));
    answer(res);
  });
  let pagerUrl: string;
  beforeAll(async () => {
    await new Promise<void>((resolve) => pager.listen(0, '127.0.0.1', resolve));
    pagerUrl = `http://127.0.0.1:${(pager.address() as AddressInfo).port}/alarms`;
  });
  afterAll(() => {
    pager.close();
    pager.closeAllConnections();
  });

  it('pages for critical events only, and reports the details of a failure', async () => {
    const { program, url } = await start('custom-sink', { PAGER_URL: pagerUrl });
    answer = (res) => res.writeHead(202).end();
    const grave = sampleEvent('billing_failed');
    expect((await send(url, grave)).status).toBe(204);
    expect((await send(url, sampleEvent('webhook_test'))).status).toBe(204);
    expect((await send(url, { ...grave, event_id: 'an-odd-one', notif_type: 'constructor' })).status).toBe(204);
    expect(alarms).toEqual([{ key: grave.event_id, summary: grave.subject, details: grave.message }]);

    answer = (res) => res.writeHead(429, { 'Retry-After': '7' }).end();
    const busy = await send(url, sampleEvent('outbid'));
    expect([busy.status, await busy.json()]).toEqual([502, { ok: false, error: 'sink_failed', sinks: { pager: 429 } }]);
    answer = (res) => res.writeHead(410).end();
    expect((await send(url, sampleEvent('outbid'))).status).toBe(502);

    await program.printed(/No repetition/);
    await expectCleanStop(program);
    expect(program.stdout.split('\n').slice(1)).toEqual([
      'billing_failed: accepted, pager: delivered',
      'webhook_test: accepted, pager: skipped',
      'constructor: accepted, pager: skipped',
      'outbid: sink_failed, pager: the pager answered 429',
      'The pager wants to be left alone for 7000 ms.',
      'outbid: sink_failed, pager: the pager answered 410',
      'No repetition will help: see to the pager.',
      '',
    ]);
  });
});

describe('examples/outbox', () => {
  let slack: ChatStandIn<SlackStandInMessage>;
  beforeAll(async () => {
    slack = await slackStandIn();
  });
  afterAll(() => slack.close());

  it('answers although Slack is down, delivers later, also after a restart, and never twice', async () => {
    const env = { SLACK_WEBHOOK_URL: slack.url, OUTBOX_FILE: temporaryFile('outbox.db') };
    slack.misbehave = (res) => res.writeHead(503, { 'Retry-After': '1' }).end();
    const asked = slack.nextRequest();
    const first = await start('outbox', env);
    const outbid = sampleEvent('outbid');
    const test = sampleEvent('webhook_test');
    expect((await send(first.url, outbid)).status).toBe(204);
    expect((await send(first.url, outbid, { attempt: 2 })).status).toBe(204);
    expect((await send(first.url, test)).status).toBe(204);
    await first.program.printed(new RegExp(`^audit: webhook_test ${test.event_id}$`, 'm'));
    await asked;
    await expectCleanStop(first.program);
    expect(first.program.stdout.split('\n').slice(1)).toEqual([
      `audit: outbid ${outbid.event_id}`,
      `audit: webhook_test ${test.event_id}`,
      '',
    ]);

    slack.misbehave = undefined;
    const posted = slack.nextRequest();
    const second = await start('outbox', env);
    await posted;
    await expectCleanStop(second.program);
    expect(slack.messages.map(({ text }) => text)).toEqual([expect.stringContaining(outbid.event_id)]);
    expect(second.program.stdout.split('\n').slice(1)).toEqual(['']);
  });

  it('lists its dead letters when it starts', async () => {
    const env = { SLACK_WEBHOOK_URL: slack.url, OUTBOX_FILE: temporaryFile('outbox.db') };
    slack.misbehave = (res) => res.writeHead(404).end('no_service');
    const asked = slack.nextRequest();
    const first = await start('outbox', env);
    const outbid = sampleEvent('outbid');
    expect((await send(first.url, outbid)).status).toBe(204);
    await asked;
    first.program.kill('SIGTERM');
    expect(await first.program.exited).toBe(0);
    expect(first.program.stderr).toMatch(new RegExp(`"slack".*"${outbid.event_id}".*dead letter.*\\n$`));

    const { program } = await start('outbox', env);
    expect(program.stdout).toContain(`dead letter of slack: ${outbid.event_id}: `);
    await expectCleanStop(program);
  });
});

// On a separate Redis, because the name of its queue is fixed.
describeWithPrivateRedis('examples/bullmq', () => {
  let slack: ChatStandIn<SlackStandInMessage>;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let env: Record<string, string>;
  beforeAll(async () => {
    slack = await slackStandIn();
    redis = await startRedis();
    env = { REDIS_URL: redis.url, SLACK_WEBHOOK_URL: slack.url };
  });
  afterAll(async () => {
    await redis?.close();
    await slack?.close();
  });

  async function startWorker(): Promise<Program> {
    const worker = await run('bullmq', env, 'worker.mjs');
    await worker.printed(/^Working$/m);
    return worker;
  }

  async function failedJobs(...more: string[]): Promise<string> {
    const program = await run('bullmq', env, 'failed.mjs', ...more);
    expect(await program.exited).toBe(0);
    expect(program.stderr).toBe('');
    return program.stdout;
  }

  it.each([
    ['service.mjs', ['VAST_WEBHOOK_SECRET', 'REDIS_URL']],
    ['worker.mjs', ['REDIS_URL', 'SLACK_WEBHOOK_URL']],
    ['failed.mjs', ['REDIS_URL']],
  ])('says in one sentence what %s misses', async (file, variables) => {
    const program = await run('bullmq', {}, file);
    expect(await program.exited).toBe(1);
    expect(program.stderr).toMatch(/^Set [^\n]+\.\n$/);
    for (const name of variables) expect(program.stderr).toContain(name);
  });

  it('answers without a worker, and the workers share the events, each delivered once', async () => {
    const { program: service, url } = await start('bullmq', env, 'service.mjs');
    const outbid = sampleEvent('outbid');
    const test = sampleEvent('webhook_test');
    expect((await send(url, outbid)).status).toBe(204);
    expect((await send(url, outbid, { attempt: 2 })).status).toBe(204);
    expect((await send(url, test)).status).toBe(204);
    await expectCleanStop(service);
    expect(slack.messages).toEqual([]);

    const workers = [await startWorker(), await startWorker()];
    await expect.poll(() => workers.map(({ stdout }) => stdout).join('')).toContain(test.event_id);
    for (const worker of workers) await expectCleanStop(worker);
    const audits = workers.flatMap(({ stdout }) => stdout.split('\n').filter((line) => line.startsWith('audit')));
    expect(audits.sort()).toEqual([`audit: outbid ${outbid.event_id}`, `audit: webhook_test ${test.event_id}`]);
    expect(slack.messages.map(({ text }) => text)).toEqual([expect.stringContaining(outbid.event_id)]);
    expect(await failedJobs()).toBe('');
  });

  it('lists the jobs that failed, and retries them for the sinks that were not delivered to', async () => {
    const { program: service, url } = await start('bullmq', env, 'service.mjs');
    const worker = await startWorker();
    const refused = slack.nextRequest();
    slack.misbehave = (res) => res.writeHead(404).end('no_service');
    const outbid = sampleEvent('outbid');
    expect((await send(url, outbid)).status).toBe(204);
    await refused;
    await expect.poll(() => failedJobs()).toContain(outbid.event_id);

    slack.misbehave = undefined;
    const posted = slack.nextRequest();
    expect(await failedJobs('--retry')).toMatch(new RegExp(`^outbid ${outbid.event_id}: .+ \\(attempts: 1\\)\\n$`));
    expect((await posted).body).toContain(outbid.event_id);
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
    expect(worker.stdout).toBe(`Working\naudit: outbid ${outbid.event_id}\n`);
    expect(await failedJobs()).toBe('');
    await expectCleanStop(service);
  });
});
