import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type VastEvent, vastWebhook } from '../../src/index.js';
import { outboxFile, sqliteOutbox } from '../../src/sinks/index.js';
import { recorder } from '../outbox/set-up.js';
import { startVastManagement } from '../support/management-stand-in.js';
import { openHere } from '../support/sqlite.js';
import { workplace } from './call.js';
import { startDev } from './dev-session.js';
import { listen } from './listen.js';
import { receiving } from './receiving.js';
import { runCommand } from './running.js';
import { anEvent, deliver, logLines, secret, serving } from './serving.js';

/** By which the test sees that the text has come through. */
const mark = 'foreign';
/** Without what JSON and HTTP forbid, each kind: C0, DEL, C1, separators, bidirectional marks. */
const controls = '\u0007\u001B[31m\u007F\u0085\u009B2J\u2028\u2029\u061C\u200E\u200F\u202A\u202E\u2066\u2069';
const hostile = `${mark}${controls}\r\nforged`;
/** The same where a sender or a service allows no line break and no C0. */
const milder = `${mark}\u009B2J\u0085\u2028\u2029\u061C\u200E\u200F\u202A\u202E\u2066\u2069`;
/** A line break may only end a line that we have written, and then the text's own is none of them. */
const harmful = /[\p{Zl}\p{Zp}\p{Bidi_Control}]|(?!\n)\p{Cc}|^forged/mu;

function expectPrintable(text: string): void {
  expect(text).toContain(mark);
  expect(text).not.toMatch(harmful);
}

const event = () => anEvent({ notif_type: hostile, subject: hostile, message: hostile } as Partial<VastEvent>);

/** A Vast.ai account with one webhook of a hostile name. */
async function hostileAccount(name = milder) {
  const service = await startVastManagement({ allowLoopback: true, newTypes: [`client:${mark}\u202E\u2066\u200F`] });
  onTestFinished(() => service.close());
  const endpoint = await receiving();
  service.webhooks.push({
    id: 42,
    user_id: 123,
    name,
    webhook_url: `${endpoint.url}/${mark}`,
    event_types: ['client:outbid'],
    created_at: 1,
    updated_at: 1,
    webhook_secret: secret,
  });
  const place = workplace(service.apiKey);
  const call = async (args: readonly string[]) => {
    const { out, err } = await place.call([...args, '--base-url', service.url], {
      env: { VAST_API_KEY: service.apiKey, VAST_WEBHOOK_SECRET: secret },
    });
    return out + err;
  };
  return { service, call };
}

/** What each subcommand prints when everything that it reads is hostile. */
const outputs: Readonly<Record<string, () => Promise<string>>> = {
  async 'serve --log text'() {
    const { url, io } = await serving(['--log-events']);
    expect((await deliver(url, event())).status).toBe(204);
    return io.out + io.err;
  },
  async 'serve --log json'() {
    const { url, io } = await serving(['--log-events', '--log', 'json']);
    const sent = event();
    expect((await deliver(url, sent)).status).toBe(204);
    expect(logLines(io.out).map((line) => line.event)).toContainEqual(sent);
    return io.out + io.err;
  },
  async 'serve, of the answer of a chat'() {
    const chat = await listen((_req, res) => res.writeHead(404).end(hostile));
    const { url, io } = await serving(['--slack', chat, '--log', 'json']);
    expect((await deliver(url, event())).status).toBe(502);
    return io.out + io.err;
  },
  async 'serve, of a start that fails'() {
    const { out, err } = await runCommand(['serve', '--log-events', '--store', `sqlite:/${hostile}/x`], {
      env: { VAST_WEBHOOK_SECRET: secret },
    });
    return out + err;
  },
  async 'serve, of a wrong option'() {
    const { out, err } = await runCommand(['serve', `--${hostile}`]);
    return out + err;
  },
  async dev() {
    const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
    const url = await session.receiverUrl();
    expect((await deliver(url, event())).status).toBe(204);
    await session.printed(/accepted/);
    return session.io.out + session.io.err;
  },
  async 'dev, of its tunnel'() {
    const text = JSON.stringify(`forged\r\n${mark}${controls}`);
    const session = await startDev(['--tunnel', `${JSON.stringify(process.execPath)} -e 'console.log(${text})'`]);
    await session.ended;
    return session.io.out + session.io.err;
  },
  async doctor() {
    const endpoint = await listen((_req, res) => res.writeHead(302, { location: `/${mark}` }).end(hostile));
    const { call } = await hostileAccount();
    return call(['doctor', '--url', `${endpoint}/${mark}`, '--local']);
  },
  async 'doctor --json'() {
    const endpoint = await listen((_req, res) => res.writeHead(302, { location: `/${mark}` }).end(hostile));
    const { call } = await hostileAccount();
    return call(['doctor', '--json', '--url', `${endpoint}/${mark}`, '--local']);
  },
  'dead-letters list': () => deadLetters('list'),
  'dead-letters list --json': () => deadLetters('list', '--json'),
  'dead-letters show': () => deadLetters('show', hostile),
  'dead-letters show --json': () => deadLetters('show', hostile, '--json'),
  'dead-letters show, of an unknown id': () => deadLetters('show', `x${hostile}`),
  'dead-letters move': () => deadLetters('move', '--to', hostile),
  'dead-letters discard': () => deadLetters('discard', hostile),
  async verify() {
    const { out, err } = await runCommand(['verify', '--file', hostile], { env: { VAST_WEBHOOK_SECRET: secret } });
    return out + err;
  },
  async trigger() {
    const { url } = await receiving((res) => res.writeHead(400).end(hostile));
    const args = ['trigger', 'outbid', '--url', url, '--secret', secret];
    const { out, err } = await runCommand(args);
    return out + err;
  },
  async 'trigger --json'() {
    const { url } = await receiving((res) => res.writeHead(400).end(hostile));
    const { out, err } = await runCommand(['trigger', 'outbid', '--json', '--url', url, '--secret', secret]);
    expect(JSON.parse(out).body).toBe(hostile);
    return out + err;
  },
  async 'trigger, of an unknown type'() {
    const { out, err } = await runCommand(['trigger', hostile, '--secret', secret]);
    return out + err;
  },
  async replay() {
    const { url } = await receiving((res) => res.writeHead(400).end(hostile));
    const stdin = JSON.stringify({ ...event(), event_id: hostile });
    const { out, err } = await runCommand(['replay', '-', '--url', url, '--secret', secret], { stdin });
    return out + err;
  },
  async 'replay --json'() {
    const { url } = await receiving((res) => res.writeHead(400).end(hostile));
    const stdin = JSON.stringify({ ...event(), event_id: hostile });
    const { out, err } = await runCommand(['replay', '-', '--json', '--url', url, '--secret', secret], { stdin });
    expect(JSON.parse(out).results[0].body).toBe(hostile);
    return out + err;
  },
  types: async () => (await hostileAccount()).call(['types']),
  'types --json': async () => (await hostileAccount()).call(['types', '--json']),
  list: async () => (await hostileAccount()).call(['list']),
  async 'list --json'() {
    const out = await (await hostileAccount()).call(['list', '--json']);
    expect(JSON.parse(out)[0].name).toBe(milder);
    return out;
  },
  create: async () =>
    (await hostileAccount()).call(['create', '--url', `https://example.com/${mark}`, '--type', `outbid${milder}`]),
  update: async () => (await hostileAccount()).call(['update', '42', '--type', 'outbid']),
  delete: async () => (await hostileAccount()).call(['delete', '42', '--yes']),
  async 'rotate-secret, of an error'() {
    const { service, call } = await hostileAccount();
    service.failNext((res) => res.writeHead(400, { 'content-type': 'text/plain' }).end(hostile));
    return call(['rotate-secret', '42']);
  },
  async test() {
    return (await hostileAccount()).call(['test', '42']);
  },
  async 'test, of an error with details'() {
    const { service, call } = await hostileAccount();
    const error = { message: hostile, details: [hostile], requestId: hostile };
    service.failNext((res) =>
      res.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error })),
    );
    return call(['test', '42']);
  },
};

/** What the command prints of an outbox whose row is all hostile. */
async function deadLetters(...args: readonly string[]): Promise<string> {
  const place = workplace();
  const db = openHere(place.path(mark));
  const outbox = sqliteOutbox(db, { sinks: [recorder('slack').sink] });
  await vi.waitUntil(() => outboxFile(db).sinks() !== undefined);
  await outbox.close();
  db.prepare(`
    INSERT INTO vast_webhook_outbox (key, event_id, sink, delivery, state, since, due_at, attempts, error, outbox)
    VALUES ('key', ?, ?, ?, 'dead', 1, 1, 1, ?, 'outbox')`).run(
    hostile,
    hostile,
    JSON.stringify({ provider: 'vast', rawBody: Buffer.from(JSON.stringify(event())).toString('base64') }),
    hostile,
  );
  db.close();
  const { out, err } = await place.call(['dead-letters', ...args, '--outbox', mark]);
  if (args.includes('--json')) expect(JSON.parse(out)[0]).toMatchObject({ id: hostile, sink: hostile, error: hostile });
  return out + err + (args[0] === 'discard' ? mark : '');
}

describe('text of others controls no terminal', () => {
  it.each(Object.entries(outputs))('%s', async (_name, output) => {
    expectPrintable(await output());
  });

  it('nor a browser or a log: the lines that the middleware writes by default', async () => {
    const lines: string[] = [];
    for (const method of ['error', 'warn'] as const) {
      vi.spyOn(console, method).mockImplementation((line) => void lines.push(String(line)));
    }
    onTestFinished(() => void vi.restoreAllMocks());
    const hook = vastWebhook(secret, {
      path: '/vast/webhooks',
      sinks: [
        function broken() {
          throw new Error(hostile);
        },
      ],
    });
    const origin = await listen((req, res) => hook(req, res, () => res.writeHead(404).end()));
    expect((await deliver(`${origin}/vast/webhooks`, event())).status).toBe(502);
    expect((await deliver(`${origin}/elsewhere/${mark}%E2%80%AE`, event())).status).toBe(404);
    expect(lines).toHaveLength(2);
    for (const line of lines) expectPrintable(`${line}\n`);
  });
});
