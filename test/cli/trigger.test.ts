import { describe, expect, it } from 'vitest';
import { receiving, verified } from './receiving.js';
import { type CommandOptions, runCommand, startCommand } from './running.js';
import { secret, serving, types } from './serving.js';

function trigger(args: readonly string[], options: CommandOptions = {}) {
  return runCommand(['trigger', ...args], { ...options, env: { VAST_WEBHOOK_SECRET: secret, ...options.env } });
}

describe('trigger sends a sample event', () => {
  it('that serve takes, and says how it was answered', async () => {
    const { url, io } = await serving(['--log-events']);
    const { status, out, err } = await trigger(['outbid', '--url', url]);
    expect(out).toMatch(/^outbid [0-9a-f]{32} to http:\/\/127\.0\.0\.1:\d+\/vast\/webhooks\n204 in [\d.]+ ms\n$/);
    expect([status, err]).toEqual([0, '']);
    expect(io.out).toContain('accepted 204 outbid');
  });

  it.each([...types, 'client:outbid', 'host:machine_offline'])('of type %s', async (type) => {
    const { url, received } = await receiving();
    expect((await trigger([type, '--url', url])).status).toBe(0);
    const { event } = verified(received[0] as never);
    expect(event.notif_type).toBe(type.replace(/^\w+:/, ''));
  });

  it('a test event when no type is given, with all headers of the sender', async () => {
    const { url, received } = await receiving();
    await trigger(['--url', url]);
    const { event, delivery } = verified(received[0] as never);
    expect(event.notif_type).toBe('webhook_test');
    expect(delivery.attempt).toBe(1);
    expect(received[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'x-vast-event-id': event.event_id,
      'x-vast-delivery-attempt': '1',
    });
  });

  it('with the event id and attempt that were asked for', async () => {
    const { url, received } = await receiving();
    await trigger(['--url', url, '--event-id', 'my-event', '--attempt', '3']);
    const { event, delivery } = verified(received[0] as never);
    expect([event.event_id, delivery.attempt]).toEqual(['my-event', 3]);
  });

  it.each([
    ['600', 401],
    ['-600', 401],
    ['200', 204],
  ])('that says it was signed %s s ago, which is answered %i', async (age, status) => {
    const { url } = await serving(['--log-events']);
    expect((await trigger(['--url', url, '--age', age])).out).toContain(`\n${status} in `);
  });

  it('with the fields that were asked for', async () => {
    const { url, received } = await receiving();
    const fields = [
      'subject=a=b',
      'message=42',
      'user_id=7',
      'extra={"deep":[1]}',
      'note=plain',
      'notif_type=brand_new',
    ];
    const { status, out } = await trigger(['outbid', '--url', url, ...fields.flatMap((field) => ['--set', field])]);
    expect(status).toBe(0);
    expect(out).toMatch(/^brand_new [0-9a-f]{32} to /);
    expect(verified(received[0] as never).event).toMatchObject({
      subject: 'a=b',
      message: '42',
      user_id: 7,
      extra: { deep: [1] },
      note: 'plain',
      notif_type: 'brand_new',
    });
  });

  it('and gives the result as JSON', async () => {
    const { url } = await receiving((res) => res.writeHead(200).end('{"ok": true}'));
    const { status, out } = await trigger(['outbid', '--url', `${url}?token=secret`, '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toEqual({
      url,
      type: 'outbid',
      event_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      status: 200,
      body: '{"ok": true}',
      ms: expect.any(Number),
    });
  });
});

describe('trigger ends with 1 and says what to do', () => {
  it.each([
    [401, 'the receiver has another secret'],
    [404, 'give the address of the endpoint'],
    [302, 'does not follow redirects'],
    [500, "the receiver's log says why"],
  ])('when the answer is %i', async (answer, advice) => {
    const { url, received } = await receiving((res) =>
      res.writeHead(answer, { Location: '/elsewhere' }).end('so\u001b[1m'),
    );
    const { status, out, err } = await trigger(['--url', url]);
    expect(status).toBe(1);
    expect(out).toMatch(new RegExp(`\\n${answer} in [\\d.]+ ms: so \\[1m\\n$`));
    expect(err).toContain(advice);
    expect(received).toHaveLength(1);
  });

  it('when nobody listens, or hangs up', async () => {
    const refused = await trigger(['--url', 'http://127.0.0.1:1/']);
    expect(refused.status).toBe(1);
    expect(refused.err).toContain('http://127.0.0.1:1/ could not be reached (ECONNREFUSED): start the receiver');
    const { url } = await receiving((res) => res.destroy());
    const hungUp = await trigger(['--url', url]);
    expect(hungUp.err).toContain('could not be reached (ECONNRESET)');
  });

  it('without a secret', async () => {
    const { status, err } = await trigger([], { env: { VAST_WEBHOOK_SECRET: '' } });
    expect([status, err]).toEqual([1, expect.stringContaining('set VAST_WEBHOOK_SECRET')]);
  });

  it('never with the secret', async () => {
    const { url } = await serving(['--log-events', '--secret', 'another-secret']);
    const { status, out, err } = await trigger(['--url', url]);
    expect(status).toBe(1);
    expect(out + err).not.toContain(secret);
  });
});

describe('trigger called wrongly ends with 2', () => {
  it.each([
    [['oubid'], /there is no event type "oubid": did you mean outbid\?/],
    [['client:outbit'], /did you mean client:outbid\?/],
    [['host:outbid'], /did you mean \S*outbid\?/],
    [['--url', 'file:///etc/passwd'], /--url must be an http:/],
    [['--url', 'nowhere'], /--url must be an http:/],
    [['--rate', '0'], /above 0/],
    [['--count', '1.5'], /whole number/],
    [['--age', 'x'], /whole number/],
    [['--ulr', 'x'], /Did you mean --url/],
    [['--set', 'subject'], /--set takes a field and a value/],
    [['--set', '=x'], /--set takes a field and a value/],
    [['--set', 'event_id=x'], /give it with --event-id/],
    [['--deadline', '0'], /above 0/],
  ])('%j', async (args, message) => {
    const { status, err, out } = await trigger(args);
    expect(err).toMatch(message);
    expect([status, out]).toEqual([2, '']);
  });
});

describe('trigger sends many', () => {
  it('different events over kept connections, and shows how long the answers took', async () => {
    const server = await receiving();
    const { status, out } = await trigger(['--url', server.url, '--count', '50', '--connections', '4']);
    expect(status).toBe(0);
    expect(new Set(server.received.map((request) => verified(request).event.event_id)).size).toBe(50);
    expect(server.connections).toBeLessThanOrEqual(4);
    expect(out).toMatch(/^50 sent in [\d.]+ s: [\d.]+ a second\nanswer +count\n204 +50\nlatency +ms\n/);
    for (const name of ['min', 'p50', 'p90', 'p99', 'max'])
      expect(out).toMatch(new RegExp(`\\n${name} +\\d+\\.\\d\\d\\n`));
  });

  it('at a rate, by a timetable that does not wait for answers', async () => {
    const held: (() => void)[] = [];
    const server = await receiving((res) => {
      held.push(() => res.writeHead(204).end());
      // Nobody is answered before all have come.
      if (held.length === 40) for (const answer of held) answer();
    });
    const args = ['--url', server.url, '--rate', '100', '--count', '40', '--connections', '40', '--json'];
    const { status, out } = await trigger(args);
    expect(status).toBe(0);
    const result = JSON.parse(out);
    expect(result).toMatchObject({ url: server.url, sent: 40, accepted: 40, statuses: { 204: 40 }, asked_rate: 100 });
    // Never faster than asked for.
    expect(result.seconds).toBeGreaterThanOrEqual(0.4);
    expect(result.rate).toBeLessThanOrEqual(100);
    expect(result.latency_ms.max).toBeGreaterThanOrEqual(result.latency_ms.p50);
  });

  it('for as long as was asked for', async () => {
    const { url, received } = await receiving();
    const { out } = await trigger(['--url', url, '--rate', '50', '--duration', '0.4', '--json']);
    expect(received).toHaveLength(20);
    expect(JSON.parse(out).sent).toBe(20);
    const fast = await trigger(['--url', url, '--duration', '0.2', '--json']);
    expect(JSON.parse(fast.out).seconds).toBeGreaterThanOrEqual(0.2);
  });

  it('of one event, which is delivered once', async () => {
    const { url, io } = await serving(['--log-events']);
    const { status } = await trigger(['--url', url, '--count', '10', '--event-id', 'one']);
    expect(status).toBe(0);
    expect(io.out.match(/event webhook_test one/g)).toHaveLength(1);
    expect(io.out.match(/duplicate 204/g)).toHaveLength(9);
  });

  it('of one event, and again while its last delivery is being settled', async () => {
    let sent = 0;
    const { url } = await receiving((res) => {
      const isSettling = ++sent === 2;
      res.writeHead(isSettling ? 503 : 204).end(isSettling ? '{"ok":false,"error":"in_flight"}' : undefined);
    });
    const { status, out } = await trigger(['--url', url, '--count', '3', '--event-id', 'one']);
    expect(out).toMatch(/\n204 +3\n/);
    expect([status, sent]).toEqual([0, 4]);
  });

  it.each([
    ['one after the other', ['--count', '4'], 1],
    ['as many at once as was asked for', ['--count', '4', '--connections', '4'], 4],
    ['many at once when it is for load', ['--rate', '1000', '--count', '4'], 4],
    ['one event one after the other, at a rate, too', ['--rate', '1000', '--count', '4', '--event-id', 'x'], 1],
  ])('%s', async (_, args, atOnce) => {
    const held: (() => void)[] = [];
    let most = 0;
    const server = await receiving((res) => {
      held.push(() => res.writeHead(204).end());
      most = Math.max(most, held.length);
      if (held.length === atOnce) for (const answer of held.splice(0)) setImmediate(answer);
    });
    expect((await trigger(['--url', server.url, ...args])).status).toBe(0);
    expect([most, server.received.length]).toEqual([atOnce, 4]);
  });

  it('and ends with 1 when one was not answered 2xx', async () => {
    let count = 0;
    const { url } = await receiving((res) => {
      count++;
      if (count === 3) res.destroy();
      else res.writeHead(count === 5 ? 500 : 204).end();
    });
    const { status, out, err } = await trigger(['--url', url, '--count', '10', '--connections', '1']);
    expect(status).toBe(1);
    expect(err).toContain('2 of 10 were not answered 2xx');
    expect(out).toMatch(/\n204 +8\n500 +1\nECONNRESET +1\n/);
  });

  it('until it is interrupted, and then shows what it has', async () => {
    const { url, received } = await receiving();
    const { io, status } = startCommand([
      'trigger',
      '--url',
      url,
      '--rate',
      '10',
      '--duration',
      '60',
      '--secret',
      secret,
    ]);
    // So seldom that no answer is late, however slow the machine is: late ones are not waited for.
    while (received.length < 5) await new Promise((resolve) => setTimeout(resolve, 10));
    io.interrupt();
    expect(await status).toBe(0);
    expect(io.out).toContain(`${received.length} sent in`);
  });

  it('and waits for no answer long then', async () => {
    const { url, received } = await receiving(() => {});
    const args = ['trigger', '--url', url, '--rate', '100', '--connections', '2', '--secret', secret];
    const { io, status } = startCommand(args);
    while (received.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    io.interrupt();
    expect(await status).toBe(1);
    expect(io.out).toMatch(/\ninterrupted +\d+\n/);
  });

  it('until the deadline, also when an answer goes on and on', async () => {
    const dripping = await receiving((res) => {
      res.writeHead(200);
      const timer = setInterval(() => res.write('.'), 20);
      res.on('close', () => clearInterval(timer));
    });
    const one = await trigger(['--url', dripping.url, '--deadline', '0.3']);
    expect(one.err).toMatch(/no answer from \S+ before --deadline/);
    const many = await trigger(['--url', dripping.url, '--deadline', '0.3', '--count', '5']);
    // A timer may end the first a little before the deadline, and a second one begins.
    expect(many.err).toMatch(/([12]) of \1 were not answered 2xx/);
    const fast = await receiving((res) => setTimeout(() => res.writeHead(204).end(), 20));
    const left = await trigger(['--url', fast.url, '--deadline', '0.3', '--count', '100000']);
    expect(left.err).toMatch(/ended by --deadline 0\.3 after \d+ of 100000|not answered 2xx/);
    expect([one.status, many.status, left.status]).toEqual([1, 1, 1]);
  });

  it('with a progress bar on a terminal, beside the result', async () => {
    const { url } = await receiving();
    const { out, err } = await trigger(['--url', url, '--count', '5'], { isTTY: true });
    expect(err).toContain('sending [');
    expect(out).not.toContain('sending');
    const byTime = await trigger(['--url', url, '--duration', '1.2'], { isTTY: true });
    expect(byTime.err).toMatch(/sending \[.*\] 1\/2/);
  });
});
