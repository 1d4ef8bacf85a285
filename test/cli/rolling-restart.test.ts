import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithRedis, redisUrl, uniqueName } from '../support/backends.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { type Installed, installed } from './installed.js';
import { anEvent, deliver, during, secret } from './serving.js';

/** How many events are on their way at once. */
const senders = 6;
/** How often each replica is restarted. */
const rounds = 2;

describeWithRedis('two replicas of serve with Redis', () => {
  let command: Installed;
  beforeAll(async () => {
    command = await installed();
  });
  afterAll(() => command?.remove());

  it('survive rolling restarts under load: no event is lost, and none is delivered twice', async () => {
    const slack = await during(slackStandIn());
    const project = await command.projectWith('ioredis');
    const env = { VAST_WEBHOOK_SECRET: secret, SLACK_WEBHOOK_URL: slack.url, VAST_WEBHOOK_STORE: redisUrl() };
    const start = async () => {
      const program = command.start(['serve', '--port', '0', '--log', 'json'], env, project);
      const [, url = ''] = await program.printed(/listening on (http:[^\s,]*)/);
      return { program, url };
    };
    const replicas = [await start(), await start()];
    const refusals: number[] = [];
    let sent = 0;

    /** As Vast.ai does: the same event again until it is taken. Each attempt comes to the next replica. */
    const send = async (event: object, first: number) => {
      for (let attempt = first; ; attempt++) {
        const { url = '' } = replicas[attempt % replicas.length] ?? {};
        const status = await deliver(url, event).then(
          (response) => response.status,
          () => 0,
        );
        if (status === 204) return;
        if (status >= 400 && status < 500) refusals.push(status);
        await sleep(20);
      }
    };
    let isOver = false;
    const ids: string[] = [];
    const loads = Array.from({ length: senders }, async (_, index) => {
      while (!isOver) {
        const event = anEvent({ event_id: uniqueName() });
        ids.push(String(event.event_id));
        // Some reach both replicas at once, as a retry does whose first attempt is still at work.
        await Promise.all(ids.length % 3 === 0 ? [send(event, index), send(event, index + 1)] : [send(event, index)]);
        sent++;
      }
    });

    const statuses: unknown[] = [];
    for (let restart = 0; restart < rounds * replicas.length; restart++) {
      const before = sent;
      while (sent < before + senders) await sleep(10);
      const at = restart % replicas.length;
      replicas[at]?.program.kill('SIGTERM');
      statuses.push(await replicas[at]?.program.exited);
      replicas[at] = await start();
    }
    isOver = true;
    await Promise.all(loads);

    expect(statuses).toEqual(Array.from({ length: rounds * replicas.length }, () => 0));
    expect(refusals).toEqual([]);
    const delivered = slack.messages.map(({ text }) => /event_id=(\S+)/.exec(text)?.[1]);
    expect(delivered.sort()).toEqual(ids.sort());
    for (const { program } of replicas) {
      program.kill('SIGTERM');
      expect(await program.exited).toBe(0);
    }
  }, 180_000);
});
