import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonErrorLine } from '../../../src/cli/serve/json-error-line.js';
import { slackStandIn } from '../../support/chat-stand-in.js';
import { runCommand, temporaryFolder } from '../running.js';
import { anEvent, deliver, during, logLines, secret, serving } from '../serving.js';

/** A folder with a file in it. */
function folderWith(name: string, content: string | object): string {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, name), typeof content === 'string' ? content : JSON.stringify(content));
  return cwd;
}

async function refusal(content: string | object, name = 'vast.json', env: Record<string, string> = {}) {
  const { status, out, err } = await runCommand(['serve', '--port', '0', '--config', name], {
    cwd: folderWith(name, content),
    env: { VAST_WEBHOOK_SECRET: secret, ...env },
  });
  expect(status).toBe(1);
  expect(out).toBe('');
  expect(err).toMatch(/^vast-webhook: [^\n]+\n$/);
  expect(err).not.toContain('secretslacktoken');
  return err;
}

describe('sinks that serve gets in several ways', () => {
  it('add up, also several in VAST_WEBHOOK_SINKS', async () => {
    const chats = await Promise.all([1, 2, 3, 4].map(() => during(slackStandIn())));
    const [first, second, third, fourth] = chats.map(({ url }) => url);
    const cwd = folderWith('vast.json', { sinks: [{ url: 'env:FOURTH', name: 'fourth' }] });
    const { url, io } = await serving(['--slack', first ?? '', '--config', 'vast.json'], {
      cwd,
      env: {
        FOURTH: `cloudevents+${fourth}`,
        VAST_WEBHOOK_SINKS: `second=cloudevents+${second}\n\t third=cloudevents+${third}`,
      },
    });
    expect(io.out).toMatch(/delivering to slack-[\da-f]{8}, second, third, fourth; store/);
    await deliver(url);
    expect(chats.map(({ requests }) => requests.length)).toEqual([1, 1, 1, 1]);
  });
});

describe('serve --config FILE.json', () => {
  it('has sinks by their addresses, with types, names and env:', async () => {
    const slack = await during(slackStandIn());
    const cwd = folderWith('vast.json', {
      sinks: [{ url: 'env:OPS_URL', name: 'ops', types: ['outbid', 'instance_*'] }],
      store: 'env:STORE',
    });
    const { url, io } = await serving(['--config', 'vast.json'], {
      cwd,
      // A secret of Kubernetes often ends with a line break.
      env: { OPS_URL: `cloudevents+${slack.url}\n`, STORE: 'sqlite:events.db\n' },
    });
    expect(io.out).toContain('delivering to ops; store: sqlite:events.db');
    await deliver(url, anEvent({ notif_type: 'outbid' }));
    await deliver(url, anEvent({ notif_type: 'instance_offline', event_id: 'another' }));
    await deliver(url, anEvent({ notif_type: 'low_credit', event_id: 'a-third' }));
    expect(slack.requests).toHaveLength(2);
  });

  it('warns of a type that this version does not know, and takes it', async () => {
    const types = ['outbit', 'client:*', 'host:machine_ofline', 'instance_*', 'webhook_test', 'gpu_*', 'env:TYPE'];
    const cwd = folderWith('vast.json', { sinks: [{ url: 'cloudevents+http://127.0.0.1:1', name: 'ops', types }] });
    const { io } = await serving(['--config', 'vast.json'], { cwd, env: { TYPE: 'of_the_environment' } });
    expect(io.out.match(/this version knows no type .*/g)).toEqual([
      'this version knows no type "outbit": do you mean "outbid"?',
      'this version knows no type "machine_ofline": do you mean "machine_offline"?',
      'this version knows no type "gpu_*": it may be newer',
    ]);
    expect(io.out).toContain('vast.json: sinks[0].types: this version');
    expect(io.out).not.toContain('of_the_environment');
  });

  it('makes one message of many with digest and quiet', async () => {
    const slack = await during(slackStandIn());
    const cwd = folderWith('vast.json', {
      sinks: [
        { url: `cloudevents+${slack.url}`, name: 'few', quiet: { perMinute: 1 } },
        { url: `cloudevents+${slack.url}`, name: 'one', digest: { everyMs: 100 } },
      ],
    });
    const { url, stop } = await serving(['--config', 'vast.json'], { cwd });
    await Promise.all([1, 2, 3].map((n) => deliver(url, anEvent({ event_id: `event-${n}` }))));
    await stop();
    const types = slack.requests.map(({ body }) => JSON.parse(body).data.notif_type).sort();
    expect(types).toEqual(['digest', 'digest', 'outbid']);
  });

  it('has an outbox, and options and variables win', async () => {
    const cwd = folderWith('vast.json', {
      sinks: [{ url: 'cloudevents+http://127.0.0.1:1', name: 'ops' }],
      store: 'sqlite:of-the-file.db',
      outbox: 'outbox.db',
    });
    const first = await serving(['--config', 'vast.json'], { cwd });
    expect(first.io.out).toContain('delivering to ops through the outbox; store: sqlite:of-the-file.db');
    await first.stop();
    const second = await serving(['--config', 'vast.json', '--store', 'memory'], {
      cwd,
      env: { VAST_WEBHOOK_OUTBOX: 'another.db' },
    });
    expect(second.io.out).toContain('store: memory');
  });

  it.each([
    ['{\n  "sinks": [\n    { "url": "secretslacktoken" },\n  ]\n}', 'vast.json:4: this is no JSON'],
    ['{ "sinks": [] ', 'vast.json:1: this is no JSON'],
    ['', 'vast.json:1: this is no JSON'],
    ['{ // secretslacktoken\n}', 'vast.json:1: this is no JSON'],
    ['[]', 'vast.json must be an object with sinks'],
    ['{ "sink": [] }', 'vast.json: unknown key "sink" (valid: sinks, store, outbox, alert, catchUp, workers)'],
    ['{ "sinks": {} }', 'vast.json: sinks must be a list'],
    ['{ "sinks": [3] }', 'vast.json: sinks[0] must be an object with url'],
    ['{ "sinks": [{}] }', 'vast.json: sinks[0].url must be the address of a sink'],
    ['{ "sinks": [{ "url": "https://example.com/secretslacktoken" }] }', 'vast.json: sinks[0].url: example.com is not'],
    ['{ "sinks": [{ "url": "secretslacktoken" }] }', 'vast.json: sinks[0].url: this is no address'],
    ['{ "sinks": [{ "url": "env:NONE" }] }', 'vast.json: sinks[0].url: set the environment variable NONE'],
    ['{ "sinks": [{ "url": "env:" }] }', 'vast.json: sinks[0].url: after env: there must be the name'],
    [
      '{ "sinks": [{ "url": "slack://a/b/c", "types": [{ "toString": 1 }] }] }',
      'vast.json: sinks[0].types: when(types',
    ],
    ['{ "store": 3 }', 'vast.json: store must be a text'],
    ['{ "outbox": "" }', 'vast.json: outbox must be a text'],
    ['{ "alert": 3 }', 'vast.json: alert must be an object with url, name, afterSeconds'],
    ['{ "alert": {} }', 'vast.json: alert.url must be the address of a sink'],
    ['{ "alert": { "url": "slack://secretslacktoken" } }', 'vast.json: alert.url: the address must be like slack://'],
    ['{ "alert": { "url": "slack://a/b/c", "afterSeconds": 0 } }', 'vast.json: alert.afterSeconds must be a number'],
  ])('%s is refused with its line or key', async (content, message) => {
    expect(await refusal(content)).toContain(`vast-webhook: ${message}`);
  });

  const url = 'cloudevents+https://example.com/secretslacktoken';
  it.each([
    [{ typse: [] }, 'sinks[1]: unknown key "typse" (valid: url, name, types, digest, quiet)'],
    [{ name: 3 }, 'sinks[1].name must be a text'],
    [{ name: 'x'.repeat(256) }, 'sinks[1].url: CloudEvents endpoint: the option name must be'],
    [{ types: 'outbid ' }, 'sinks[1].types: when(types, sink): types must be event types'],
    [{ types: [] }, 'sinks[1].types: when(types, sink): types must be event types'],
    [{ digest: {} }, 'sinks[1].digest.everyMs must be a number'],
    [{ digest: { everyMs: '5' } }, 'sinks[1].digest.everyMs must be a number'],
    [{ digest: { everyMs: 0 } }, 'sinks[1].digest.everyMs must be a whole number of milliseconds, 1 to 240000'],
    [{ digest: { everyMs: 5, every: 5 } }, 'sinks[1].digest: unknown key "every" (valid: everyMs)'],
    [{ quiet: { perMinute: 1.5 } }, 'sinks[1].quiet.perMinute must be a whole number, 1 to 1000'],
    [{ quiet: { perMinute: 1 }, digest: { everyMs: 5 } }, 'sinks[1]: give one of digest and quiet'],
    [{ name: 'first' }, 'sinks[0].url and vast.json: sinks[1].url: two sinks are named "first"'],
  ])('%j of a sink is refused with its key', async (fields, message) => {
    const sinks = [
      { url, name: 'first' },
      { url, ...fields },
    ];
    expect(await refusal({ sinks })).toContain(`vast-webhook: vast.json: ${message}`);
  });

  it('that is not there is refused', async () => {
    const { status, err } = await runCommand(['serve', '--config', 'none.json'], {
      env: { VAST_WEBHOOK_SECRET: secret },
    });
    expect([status, err]).toEqual([
      1,
      expect.stringMatching(/^vast-webhook: --config: .*none.json cannot be read \(ENOENT/),
    ]);
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('the line of an error in JSON', () => {
  it.each([
    ['{"a": 1,\n "b": [1, 2,\n 3,]}', 3],
    ['{"a": 1,\n "b": "x\n"}', 2],
    ['{"a": 1}\n\n}', 3],
    ['{"a": 1\n "b": 2}', 2],
    ['{"a": .5}', 1],
    ['{\n"a": nul}', 2],
    ['{\n"a": True}', 2],
    ['{"a": "\\x"}', 1],
    ['{\n\n"a"', 3],
    ["\n{'a': 1}", 2],
  ])('%j is %i', (text, line) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(jsonErrorLine(text)).toBe(line);
  });

  it.each([
    ['{"a": 1,\n "a": 2}', 2],
    ['{"a": [{"b": 1, "c": 2},\n{"b": 1,\n"b": 1}]}', 3],
  ])('%j is %i, because a key is repeated', (text, line) => expect(jsonErrorLine(text)).toBe(line));

  it('agrees with JSON.parse on what is JSON', () => {
    const broken = fc.tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', ':', '\\', 'x', '0', '\n'));
    fc.assert(
      fc.property(broken, ([json, place, inserted]) => {
        const at = place % (json.length + 1);
        const text = json.slice(0, at) + inserted + json.slice(at + 1);
        expect(jsonErrorLine(json)).toBeUndefined();
        if (isJson(text)) return;
        expect(jsonErrorLine(text)).toBeGreaterThan(0);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(['{}', ' [1, {"a": {"a": 1}, "b": {"a": 1}}]\n', 'true', '"\u007f\u0085"', '"\\u00e4"', '-1.5E+3'])(
    '%j has none',
    (text) => {
      JSON.parse(text);
      expect(jsonErrorLine(text)).toBeUndefined();
    },
  );
});

describe('serve --config FILE.mjs', () => {
  it('is an ES module with what vastWebhook takes', async () => {
    const cwd = folderWith(
      'vast.config.mjs',
      `const seen = [];
       export default {
         sinks: [async function audit(event) { seen.push(event.event_id); }],
         path: '/hooks/of-the-file',
         limit: 300,
         onOutcome: ({ id, status }) => process.emit('test-outcome', { id, status, seen }),
       };
       export const close = () => process.emit('test-outcome', 'closed');`,
    );
    const heard: unknown[] = [];
    const listener = (outcome: object) => heard.push(outcome);
    process.on('test-outcome' as never, listener as never);
    const { url, io, stop } = await serving(['--config', 'vast.config.mjs'], { cwd });
    expect(io.out).toContain('delivering to audit; store: memory');
    expect(url).toMatch(/\/hooks\/of-the-file$/);
    const event = anEvent({ message: 'x' });
    expect((await deliver(url, { ...event, message: 'x'.repeat(300) })).status).toBe(413);
    await stop();
    const other = await serving(['--config', 'vast.config.mjs', '--path', '/mine', '--limit', '1mb', '--log', 'json'], {
      cwd,
    });
    expect(other.url).toMatch(/\/mine$/);
    expect((await deliver(other.url, event)).status).toBe(204);
    await other.stop();
    process.off('test-outcome' as never, listener as never);
    expect(heard).toEqual([
      expect.objectContaining({ status: 413 }),
      'closed',
      { id: event.event_id, status: 204, seen: [event.event_id] },
      'closed',
    ]);
    expect(logLines(other.io.out).map(({ message }) => message)).toContain('accepted');
  });

  it('reads the settings of .env from process.env', async () => {
    const cwd = folderWith(
      'vast.config.mjs',
      'const { NAME_OF_THE_TEST: name } = process.env; export default { sinks: [{ name, deliver() {} }] };',
    );
    writeFileSync(join(cwd, '.env'), 'NAME_OF_THE_TEST=from-the-file\n');
    const { io } = await serving(['--config', 'vast.config.mjs'], { cwd });
    delete process.env.NAME_OF_THE_TEST;
    expect(io.out).toContain('delivering to from-the-file');
  });

  it.each([
    ['export default {\n  sinks: [}\n};', 'vast.config.mjs'],
    ['const sinks = [];\nif (sinks.length === 0) throw new TypeError("no sink");\n', 'vast.config.mjs:2: no sink'],
    ["import 'none-of-this-name';", "Cannot find package 'none-of-this-name'"],
    ['export default 3;', 'vast.config.mjs: export default { sinks: [...] }'],
    ['export const sinks = [];', 'vast.config.mjs: export default { sinks: [...] }'],
    ['export default { sinks: 3 };', 'vast.config.mjs: the option sinks must be an array'],
    ['export default { sinks: [() => {}] };', 'vast.config.mjs: a sink has no name'],
    ['export default { sinks: [function a() {}], handoff: true };', 'vast.config.mjs: leave the option handoff out'],
    ['export default { sinks: [function a() {}], tiemoutMs: 3 };', 'vast.config.mjs: unknown option "tiemoutMs"'],
    ['export default { sinks: [function a() {}], leaseMs: -3 };', 'vast.config.mjs: the option leaseMs must be'],
    ['export default { sinks: [function a() {}], store: {} };', 'vast.config.mjs: the option store must be'],
    ['export default { sinks: [function a() {}], alert: { afterMs: 3 } };', 'vast.config.mjs: a sink must be a named'],
    ['export default { sinks: [function a() {}], alert: { sink() {}, afterMs: -3 } };', 'the option afterMs must be'],
    ['export default { sinks: [function a() {}, function a() {}] };', 'vast.config.mjs: two sinks are named "a"'],
  ])('%s is refused', async (content, message) => {
    expect(await refusal(content, 'vast.config.mjs')).toContain(message);
  });

  it('that is not there is refused', async () => {
    const cwd = temporaryFolder();
    const { err } = await runCommand(['serve', '--config', 'none.mjs'], { cwd, env: { VAST_WEBHOOK_SECRET: secret } });
    expect(err).toMatch(/--config: .*none.mjs cannot be read \(ENOENT\)/);
  });
});
