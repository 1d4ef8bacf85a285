import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { signedDelivery } from '../../src/testing/index.js';
import { receiving, verified } from './receiving.js';
import { type CommandOptions, runCommand, temporaryFolder } from './running.js';
import { anEvent, deliver, secret, serving } from './serving.js';

/** Has the text replayed as a file. */
function replay(text: string, args: readonly string[], options: CommandOptions = {}) {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, 'deliveries'), text);
  return runCommand(['replay', 'deliveries', ...args], { cwd, env: { VAST_WEBHOOK_SECRET: secret }, ...options });
}

const events = [anEvent(), anEvent({ subject: 'Zweites – Ünïcode 🎉' }), anEvent({ notif_type: 'brand_new' })];
const ids = events.map(({ event_id }) => event_id);

const queued = (event: object) => ({
  provider: 'vast',
  id: 'x',
  attempt: 1,
  timestamp: 1,
  receivedAt: 1,
  rawBody: Buffer.from(JSON.stringify(event)).toString('base64'),
});

const lines = (values: readonly unknown[]) => `${values.map((value) => JSON.stringify(value)).join('\n')}\n`;

describe('replay signs afresh and sends', () => {
  it.each([
    ['events in JSON lines', lines(events)],
    ['events in lines of another system, with empty ones', `\uFEFF${lines(events).replaceAll('\n', '\r\n\r\n')}`],
    ['a JSON array of events', JSON.stringify(events, undefined, 2)],
    ['what was received', lines(events.map((event) => signedDelivery(event, 'an-old-secret', { timestamp: 1 })))],
    ['what was received, with bodies that were parsed', lines(events.map((body) => ({ headers: {}, body })))],
    ['what a queue keeps', lines(events.map(queued))],
    [
      'what a queue keeps as JSON makes it of a Buffer',
      JSON.stringify(events.map((event) => ({ ...queued(event), rawBody: Buffer.from(JSON.stringify(event)) }))),
    ],
  ])('%s', async (_, text) => {
    const { url, received } = await receiving();
    const { status, out, err } = await replay(text, ['--url', url]);
    expect([status, out, err]).toEqual([0, `3 of 3 accepted by ${url}\n`, '']);
    expect(received.map((request) => verified(request).event)).toEqual(events);
    expect(received.map(({ headers }) => headers['x-vast-event-id'])).toEqual(ids);
  });

  it('a single event that is printed over several lines', async () => {
    const { url, received } = await receiving();
    expect((await replay(JSON.stringify(events[0], undefined, 2), ['--url', url])).status).toBe(0);
    expect(received).toHaveLength(1);
  });

  it('the very bytes that were received', async () => {
    const { url, received } = await receiving();
    const body = `{ "event_id" : "${ids[0]}",\t"notif_type": "\\u006futbid" }`;
    const rawBody = Buffer.concat([Buffer.from(body), Buffer.from([0x20])]);
    await replay(
      lines([
        { headers: {}, body },
        { ...queued({}), rawBody: rawBody.toString('base64') },
        // As the page about a 401 captures a request.
        { headers: {}, bodyBase64: rawBody.toString('base64') },
        // As AWS Lambda gets it.
        { headers: {}, body: rawBody.toString('base64'), isBase64Encoded: true },
      ]),
      ['--url', url],
    );
    expect(received.map((request) => request.body)).toEqual([Buffer.from(body), rawBody, rawBody, rawBody]);
  });

  it('what comes on standard input', async () => {
    const { url, received } = await receiving();
    const { status } = await runCommand(['replay', '-', '--url', url, '--secret', secret], { stdin: lines(events) });
    expect([status, received.length]).toEqual([0, 3]);
  });

  it("serve's own log, each event once", async () => {
    const serve = await serving(['--log-events', '--log', 'json']);
    for (const event of events) await deliver(serve.url, event);
    await deliver(serve.url, events[0]);
    await serve.stop();
    const { url, received } = await receiving();
    expect((await replay(serve.io.out, ['--url', url])).status).toBe(0);
    expect(received.map((request) => verified(request).delivery.id)).toEqual(ids);
  });

  it('to serve, which delivers no event again', async () => {
    const { url, io } = await serving(['--log-events']);
    await deliver(url, events[0]);
    expect((await replay(lines(events), ['--url', url])).out).toBe(`3 of 3 accepted by ${url}\n`);
    expect(io.out.match(/Z event /g)).toHaveLength(3);
    expect(io.out).toContain('duplicate 204');
  });

  it('nothing when there is nothing', async () => {
    expect(await replay('\n', [])).toMatchObject({ status: 0, out: expect.stringContaining('0 of 0 accepted') });
  });
});

describe('replay says what was not accepted, and ends with 1', () => {
  it('as a table', async () => {
    let count = 0;
    const { url } = await receiving((res) => res.writeHead(++count === 2 ? 502 : 204).end('{"ok":false}'));
    const { status, out, err } = await replay(lines(events), ['--url', url]);
    expect(status).toBe(1);
    expect(out).toContain('2 of 3 accepted');
    expect(out).toMatch(new RegExp(`\\nline 2 +${ids[1]} +502 +\\{"ok":false\\}\\n$`));
    expect(err).toContain("one delivery was not accepted; at line 2 the answer was 502: the receiver's log says why");
  });

  it('as JSON', async () => {
    const { url } = await receiving((res, { body }) => res.writeHead(body.includes(ids[0] ?? '') ? 401 : 204).end());
    const { status, out } = await replay(JSON.stringify(events), ['--url', url, '--json']);
    expect(status).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      url,
      total: 3,
      sent: 3,
      accepted: 2,
      results: [{ place: 'entry 1', event_id: ids[0], status: 401 }, { status: 204 }, { status: 204 }],
    });
  });

  it('when the deadline comes first', async () => {
    const { url } = await receiving((res) => setTimeout(() => res.writeHead(204).end(), 200));
    const many = Array.from({ length: 1_000 }, () => events[0]);
    const { status, err } = await replay(lines(many), ['--url', url, '--deadline', '0.5']);
    expect([status, err]).toEqual([1, expect.stringMatching(/ended by --deadline 0\.5 after \d+ of 1000 deliveries/)]);
  });

  it('when nobody listens', async () => {
    const { status, err } = await replay(lines(events), ['--url', 'http://127.0.0.1:1/']);
    expect([status, err]).toEqual([
      1,
      expect.stringMatching(/3 deliveries were not accepted; at line 1 .*ECONNREFUSED/),
    ]);
  });
});

describe('replay sends nothing, and ends with 1,', () => {
  it.each([
    ['a line that is no JSON', `${lines(events)}{"event_id":\n`, 'line 4 is not JSON'],
    ['a line that is no event', lines([events[0], { hello: 'world' }]), 'line 2 is no delivery'],
    ['a line that is no object', lines([events[0], 'text']), 'line 2 is no delivery'],
    ['an entry that is no event', JSON.stringify([events[0], null]), 'entry 2 is no delivery'],
    ['a body that is no event', lines([{ headers: {}, body: 'not JSON' }]), 'line 1 is no delivery'],
    ['bytes that are no event', lines([events[0], { rawBody: 'AAAA' }]), 'line 2 is no delivery'],
  ])('for %s', async (_, text, message) => {
    const { url, received } = await receiving();
    const { status, out, err } = await replay(text, ['--url', url]);
    expect([status, out, received.length]).toEqual([1, '', 0]);
    expect(err).toContain(message);
  });

  it('for a file that is not there', async () => {
    const { status, err } = await runCommand(['replay', 'none', '--secret', secret]);
    expect([status, err]).toEqual([1, expect.stringContaining('cannot be read (ENOENT)')]);
  });
});

describe('replay called wrongly ends with 2', () => {
  it.each([[['--rate', '-1']], [['--url', 'ftp://x']], [['--nothing']]])('%j', async (args) => {
    expect((await replay('', args)).status).toBe(2);
  });
});
