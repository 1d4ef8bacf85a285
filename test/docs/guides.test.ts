import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { chdir, cwd } from 'node:process';
import type { Express } from 'express';
import request from 'supertest';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Sink, verifyDelivery } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { temporaryFile } from '../support/temporary-file.js';
import { runnable } from './run-page.js';

const secret = 'a secret of the guides';

function send(app: Express, event: object, signedWith: string, path = '/vast/webhooks') {
  const { body, headers } = signedDelivery(event, signedWith);
  return request(app).post(path).set(headers).send(body);
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe('docs/write-a-store.md', async () => {
  const runBlock = await runnable('docs/write-a-store.md');
  await runBlock('my-store.test.ts');
});

describe('docs/write-a-sink.md', async () => {
  const runBlock = await runnable('docs/write-a-sink.md');
  await runBlock('pager.test.ts');
  await runBlock('my-chat.test.ts');
});

describe('docs/test-your-handler.md', async () => {
  const runBlock = await runnable('docs/test-your-handler.md');
  await runBlock('app.test.ts');
});

describe('docs/rotate-a-secret.md', async () => {
  const runBlock = await runnable('docs/rotate-a-secret.md');

  it('app.ts takes what is signed with a secret of the file, and asks for it again when none fits', async () => {
    const file = temporaryFile('secret.txt');
    vi.stubEnv('SECRET_FILE', file);
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const log = vi.spyOn(console, 'log').mockReturnValue();
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    vi.spyOn(console, 'error').mockReturnValue();
    const { app } = (await runBlock('app.ts')) as { app: Express };
    await writeFile(file, 'the old one\n');
    await send(app, sampleEvent('outbid'), 'the old one').expect(204);
    vi.advanceTimersByTime(9_000);
    await writeFile(file, 'the new one\n');
    await send(app, sampleEvent('outbid'), 'the new one').expect(503);
    vi.advanceTimersByTime(1_000);
    await send(app, sampleEvent('outbid'), 'the new one').expect(204);
    expect(log).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(10_000);
    await send(app, sampleEvent('outbid'), 'the old one').expect(401);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('signature_mismatch'));
  });
});

describe('docs/separate-renter-and-host.md', async () => {
  const runBlock = await runnable('docs/separate-renter-and-host.md');

  it('app.ts names the webhook by the secret', async () => {
    vi.stubEnv('VAST_SECRET_CLIENT', 'of the renter');
    vi.stubEnv('VAST_SECRET_HOST', 'of the host');
    const log = vi.spyOn(console, 'log').mockReturnValue();
    const { app } = (await runBlock('app.ts')) as { app: Express };
    await send(app, sampleEvent('low_disk_space'), 'of the renter').expect(204);
    await send(app, sampleEvent('low_disk_space'), 'of the host').expect(204);
    expect(log.mock.calls.map(([line]) => String(line).split(':')[0])).toEqual(['client', 'host']);
  });
});

describe('docs/separate-renter-and-host.md, its sinks', async () => {
  const runBlock = await runnable('docs/separate-renter-and-host.md');

  it.each([
    ['client', ['renters', 'audit']],
    ['host', ['hosts']],
    [undefined, ['renters', 'hosts', 'audit']],
  ])('of a webhook with the label %s deliver low_disk_space to %s', async (webhook, names) => {
    vi.stubEnv('RENTERS_SLACK_URL', 'https://hooks.slack.example/renters');
    vi.stubEnv('HOSTS_SLACK_URL', 'https://hooks.slack.example/hosts');
    const { sinks } = (await runBlock('sinks.ts')) as { sinks: readonly Sink[] };
    const event = sampleEvent('low_disk_space');
    const delivery = { ...verifyDelivery({ ...signedDelivery(event, secret), secret }).delivery, webhook };
    expect(sinks.filter((sink) => sink.accepts?.(event, delivery)).map(({ name }) => name)).toEqual(names);
  });
});

describe('docs/answer-first-deliver-later.md', async () => {
  const runBlock = await runnable('docs/answer-first-deliver-later.md');

  it('outbox.ts answers while Slack is down, and delivers to it when it is back', async () => {
    const slack = await slackStandIn();
    onTestFinished(() => slack.close());
    vi.stubEnv('OUTBOX_FILE', temporaryFile('outbox.db'));
    vi.stubEnv('SLACK_WEBHOOK_URL', slack.url);
    vi.stubEnv('VAST_WEBHOOK_SECRET', secret);
    const { app, stop } = (await runBlock('outbox.ts')) as { app: Express; stop(): Promise<void> };
    slack.misbehave = (res) => res.writeHead(503).end();
    await send(app, sampleEvent('outbid'), secret).expect(204);
    await slack.nextRequest();
    slack.misbehave = undefined;
    await vi.waitFor(() => expect(slack.messages).toHaveLength(1));
    await stop();
  });
});

describe('docs/debug-a-401.md', async () => {
  const runBlock = await runnable('docs/debug-a-401.md');

  it('capture.ts keeps a request, and why.ts says what is the matter with it', async () => {
    const before = cwd();
    const file = temporaryFile('requests.jsonl');
    chdir(dirname(file));
    onTestFinished(() => chdir(before));
    vi.stubEnv('VAST_WEBHOOK_SECRET', secret);
    vi.spyOn(console, 'warn').mockReturnValue();
    const { app } = (await runBlock('capture.ts')) as { app: Express };
    const event = sampleEvent('outbid');
    await send(app, event, secret).expect(204);
    await send(app, event, 'another secret').expect(401);

    const { why } = (await runBlock('why.ts')) as { why(headers: Headers, body: Uint8Array, secret: string): string };
    const reasons = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .map(({ headers, bodyBase64 }) => why(new Headers(headers), Buffer.from(bodyBase64, 'base64'), secret));
    expect(reasons).toEqual([
      expect.stringContaining(`it is genuine: event ${event.event_id}`),
      expect.stringContaining('invalid_signature signature_mismatch: no secret matches'),
    ]);
  });
});
