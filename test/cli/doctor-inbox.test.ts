import { join } from 'node:path';
import { expect, it } from 'vitest';
import { vastApi } from '../../src/api/index.js';
import { StateStore } from '../../src/catch-up/state.js';
import { judgeInbox } from '../../src/cli/doctor/inbox.js';
import { sqliteStore } from '../../src/stores/index.js';
import { systemClock } from '../../src/util/clock.js';
import { InboxStandIn, rowOf } from '../support/inbox-stand-in.js';
import { openHere } from '../support/sqlite.js';
import { account } from './account.js';
import { receiving } from './receiving.js';
import { runCommand, temporaryFolder } from './running.js';

const never = new AbortController().signal;

function setUp() {
  const inbox = new InboxStandIn();
  const store = sqliteStore(openHere(':memory:'));
  const api = vastApi({ apiKey: 'key', fetch: inbox.fetch as typeof fetch });
  const judge = () => judgeInbox(api, store, ['client:outbid'], never);
  const complete = (id: string) => {
    store.claim(`receiver:vast:${id}`, 't', 1_000);
    store.complete(`receiver:vast:${id}`, 't', 1e9);
  };
  const add = (id: string, secondsAgo = 100, fields = {}) => inbox.rows.push(rowOf(id, inbox.now - secondsAgo, fields));
  return { inbox, store, judge, complete, add };
}

it('lists what the inbox has and did not arrive', async () => {
  const { judge, complete, add } = setUp();
  for (const id of ['arrived', 'missed']) add(id);
  add('young', 5);
  add('odd\0');
  add('ancient', 7 * 86_400);
  add('other', 100, { notif_type: 'idle_gpu' });
  complete('arrived');
  const finding = await judge();
  expect(finding).toMatchObject({ check: 'inbox', status: 'problem' });
  expect(finding.detail).toMatch(
    /^of 3 events did not arrive: outbid missed \(\S+Z\); 1 that did not arrive are of types/,
  );
  expect(finding.detail).toContain('no id has been seen to agree');
  complete('missed');
  expect(await judge()).toMatchObject({ status: 'ok', detail: expect.stringContaining('3 events, 2 of them arrived') });
});

it('says whether ids have been seen to agree', async () => {
  const { store, judge } = setUp();
  await new StateStore(store, 'receiver', 1_000, systemClock).update({ since: 1, idsAgree: true, labels: [] });
  expect((await judge()).detail).toContain('ids have been seen to agree');
});

it('leaves an event as it is', async () => {
  const { store, judge, add } = setUp();
  add('half');
  store.claim('receiver:vast:half', 't', 1_000);
  store.delivered('receiver:vast:half', 't', 'slack');
  store.release('receiver:vast:half', 't', 1e9);
  await judge();
  expect(store.claim('receiver:vast:half', 't2', 1_000)).toEqual({ state: 'acquired', delivered: ['slack'] });
});

it('skips an inbox that is gone', async () => {
  const { inbox, judge } = setUp();
  inbox.fault = () => new Response('', { status: 404 });
  expect(await judge()).toMatchObject({ status: 'skipped', detail: expect.stringContaining('no notification inbox') });
});

it('is asked by doctor where there is a store', async () => {
  const { call, create, place } = await account();
  await create('one');
  const store = `sqlite:${join(place.folder, 'store.db')}`;
  const { out } = await call(['doctor', '--json', '--store', store]);
  expect(JSON.parse(out)).toContainEqual(expect.objectContaining({ check: 'inbox', status: 'skipped' }));
});

it('is skipped aloud without an API key', async () => {
  const app = await receiving();
  const { out } = await runCommand(['doctor', '--json', '--local', '--url', app.url, '--store', 'sqlite:store.db'], {
    cwd: temporaryFolder(),
    env: { VAST_WEBHOOK_SECRET: 'a-secret' },
  });
  const inbox = expect.objectContaining({ check: 'inbox', status: 'skipped', detail: expect.stringContaining('API') });
  expect(JSON.parse(out)).toContainEqual(inbox);
});
