import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { stateKeyOf } from '../../../src/catch-up/state.js';
import { sqliteStore } from '../../../src/stores/index.js';
import { rowOf } from '../../support/inbox-stand-in.js';
import { openHere } from '../../support/sqlite.js';
import { startVastMarket } from '../../support/vast-market.js';
import { runCommand, temporaryFolder } from '../running.js';
import { deliver, logLines, serving } from '../serving.js';

const seconds = () => Date.now() / 1000;

/** An inbox, and a store that knows of a first run some time ago. */
async function setUp(names: readonly string[] = ['ids-agree']) {
  const standIn = await startVastMarket();
  onTestFinished(() => standIn.close());
  const cwd = temporaryFolder();
  const db = openHere(join(cwd, 'store.db'));
  const store = sqliteStore(db);
  const key = stateKeyOf('receiver');
  await store.claim(key, 'token', 1_000);
  for (const name of [`since:${seconds() - 1_000}`, ...names]) await store.delivered(key, 'token', name);
  await store.release(key, 'token', 1e9);
  db.close();
  standIn.inbox.push(rowOf('missed', seconds() - 100));
  const args = ['--log-events', '--log', 'json', '--store', 'sqlite:store.db', '--base-url', `${standIn.url}/v0`];
  return { standIn, args, options: { cwd, env: { VAST_API_KEY: standIn.apiKey } } };
}

describe('serve --catch-up', () => {
  it('delivers an event that only the inbox has, once', async () => {
    const { args, options, standIn } = await setUp();
    const { io, url, stop } = await serving([...args, '--catch-up'], options);
    await vi.waitFor(() => expect(io.out).toContain('"source":"inbox"'), 10_000);
    expect(io.out).toContain('catching up with the inbox');
    expect((await deliver(url, { event_id: 'missed', notif_type: 'outbid' })).status).toBe(204);
    expect(await stop()).toBe(0);
    const lines = logLines(io.out);
    expect(lines.filter(({ message }) => message === 'event')).toHaveLength(1);
    expect(lines.filter(({ message }) => message === 'accepted')).toMatchObject([
      { event_id: 'missed', source: 'inbox' },
    ]);
    expect(lines.filter(({ message }) => message === 'duplicate')).toHaveLength(1);
    expect(io.out + io.err).not.toContain(standIn.apiKey);
    expect(new Set(standIn.calls)).toEqual(new Set(['GET /v0/notifications/inbox/']));
  });

  it('only lists them until ids have been seen to agree', async () => {
    const { args, options } = await setUp([]);
    const { io } = await serving([...args, '--catch-up'], options);
    await vi.waitFor(() => expect(io.out).toContain('"gap":"untrusted"'), 10_000);
    expect(logLines(io.out).find(({ gap }) => gap)).toMatchObject({ level: 'warn', event_ids: ['missed'] });
    expect(io.out).not.toContain('accepted');
  });

  it.each([
    ['the variable', () => [], { VAST_WEBHOOK_CATCH_UP: 'yes' }],
    ['a JSON config', () => ['--config', 'config.json'], {}],
    ['a module', () => ['--config', 'config.mjs'], {}],
  ])('is switched on by %s, too', async (_name, more, env) => {
    const { args, options } = await setUp();
    writeFileSync(join(options.cwd, 'config.json'), '{ "catchUp": true }');
    writeFileSync(join(options.cwd, 'config.mjs'), 'export default { catchUp: true };');
    const { io } = await serving([...args, ...more()], { ...options, env: { ...options.env, ...env } });
    await vi.waitFor(() => expect(io.out).toContain('"source":"inbox"'), 10_000);
  });

  it('works with an outbox', async () => {
    const { args, options } = await setUp();
    const { io } = await serving([...args, '--catch-up', '--outbox', 'outbox.db'], options);
    await vi.waitFor(() => expect(io.out).toContain('"message":"event"'), 10_000);
  });

  it('goes on without the inbox', async () => {
    const { args, options } = await setUp();
    const gone = [...args.slice(0, -1), args.at(-1)?.replace('/v0', '/gone/v0') ?? ''];
    const { io, url } = await serving([...gone, '--catch-up'], options);
    await vi.waitFor(() => expect(io.out).toContain('the next look is in a day'), 10_000);
    expect((await deliver(url)).status).toBe(204);
  });

  it('is off without a word of it, or with no', async () => {
    const { args, options, standIn } = await setUp();
    const { url } = await serving(args, { ...options, env: { ...options.env, VAST_WEBHOOK_CATCH_UP: 'no' } });
    expect((await deliver(url)).status).toBe(204);
    expect(standIn.calls).toEqual([]);
  });

  it.each([
    ['without an API key', ['--store', 'sqlite:x.db'], { VAST_API_KEY: '' }, 'set VAST_API_KEY'],
    ['without a store', [], {}, 'give --store sqlite:FILE'],
    [
      'with other labels',
      ['--store', 'sqlite:x.db'],
      { VAST_WEBHOOK_SECRETS: 'old=secret-1,new=secret-2' },
      'labels client',
    ],
    ['with another word', [], { VAST_WEBHOOK_CATCH_UP: 'perhaps' }, 'must be yes or no'],
  ])('ends %s, and says what to do', async (_name, args, env, message) => {
    const given = { VAST_WEBHOOK_SECRETS: 'client=secret-1,host=secret-2', VAST_API_KEY: 'key', ...env };
    const catchUp = 'VAST_WEBHOOK_CATCH_UP' in env ? [] : ['--catch-up'];
    const { status, err } = await runCommand(['serve', '--log-events', ...args, ...catchUp], { env: given });
    expect([status, err]).toEqual([1, expect.stringContaining(message)]);
  });

  it('needs a store that survives a restart from a module, too', async () => {
    const { options } = await setUp();
    const methods = 'claim() {}, renew() {}, delivered() {}, complete() {}, release() {}';
    const store = `{ ${methods}, [Symbol.for('vast-webhook.in-memory')]: true }`;
    writeFileSync(join(options.cwd, 'config.mjs'), `export default { catchUp: true, store: ${store} };`);
    const { status, err } = await runCommand(['serve', '--port', '0', '--log-events', '--config', 'config.mjs'], {
      ...options,
      env: { ...options.env, VAST_WEBHOOK_SECRET: 'a-secret' },
    });
    expect([status, err]).toEqual([1, expect.stringContaining('survives a restart')]);
  });

  it.each([
    ['config.json', '{ "catchUp": "yes" }'],
    ['config.mjs', 'export default { catchUp: "yes" };'],
  ])('must be true or false in %s', async (file, text) => {
    const { args, options } = await setUp();
    writeFileSync(join(options.cwd, file), text);
    const { status, out, err } = await runCommand(['serve', ...args, '--config', file], {
      ...options,
      env: { ...options.env, VAST_WEBHOOK_SECRET: 'a-secret' },
    });
    expect([status, out + err]).toEqual([1, expect.stringMatching(/catchUp must be true or false/)]);
  });
});
