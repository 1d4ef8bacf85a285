import { chmodSync, readdirSync, statSync } from 'node:fs';
import { parse } from 'dotenv';
import { describe, expect, it } from 'vitest';
import { failures } from '../support/management-stand-in.js';
import { account } from './account.js';
import { leaveLock } from './call.js';

describe("create never replaces another webhook's secret", () => {
  it.each([
    ['the default entry', [], '--env-name'],
    ['an entry', ['--env-name', 'MINE'], '--env-name'],
    ['a file', ['--secret-file', 'secret'], '--secret-file'],
  ])('in %s: it refuses before it asks for one', async (_, args, advice) => {
    const { create, place, secretOf, changes } = await account();
    expect(await create('renter', ...args)).toMatchObject({ status: 0 });
    const files = readdirSync(place.folder).map((name) => place.read(name));
    const { status, err } = await create('host', ...args);
    expect(err).toContain(advice);
    expect(err).toContain('--replace');
    expect(status).toBe(1);
    expect(changes()).toBe(1);
    expect(readdirSync(place.folder).map((name) => place.read(name))).toEqual(files);
    expect(files.join()).toContain(secretOf('renter'));
    expect(await create('host', ...args, '--replace')).toMatchObject({ status: 0 });
    expect(
      readdirSync(place.folder)
        .map((name) => place.read(name))
        .join(),
    ).toContain(secretOf('host'));
  });

  it.each([
    ['an .env file', 'A=1\nB=2\n'],
    ['an .env file of one line', 'DATABASE_URL=postgres://me:password@db/x\n'],
    ['an answer of the service', '{"webhook": {"webhook_secret": "the-only-copy"}}'],
    ['several secrets', 'the-first-of-two\nthe-second-of-two\n'],
  ])('nor with --replace what is more than a secret: %s', async (_, content) => {
    const { create, place, changes } = await account();
    place.write('file', content);
    const { status, err } = await create('host', '--secret-file', 'file', '--replace');
    expect(err).toMatch(/file holds more than a secret/);
    expect(status).toBe(1);
    expect(changes()).toBe(0);
    expect(place.read('file')).toBe(content);
  });

  it('takes an entry or a file that is empty', async () => {
    const { create, place, secretOf } = await account();
    place.write('.env', 'VAST_WEBHOOK_SECRET=""\n');
    place.write('secret', '\n');
    expect(await create('renter')).toMatchObject({ status: 0 });
    expect(await create('host', '--secret-file', 'secret')).toMatchObject({ status: 0 });
    expect(parse(place.read('.env')).VAST_WEBHOOK_SECRET).toBe(secretOf('renter'));
    expect(place.read('secret')).toBe(secretOf('host'));
  });

  it('of eight that are made at once into one .env', async () => {
    for (let pair = 0; pair < 8; pair++) {
      const { create, place, secretOf } = await account();
      const calls = await Promise.all([create('renter', '--env-name', 'RENTER'), create('host', '--env-name', 'HOST')]);
      expect(calls.map(({ status }) => status)).toEqual([0, 0]);
      expect(parse(place.read('.env'))).toEqual({ RENTER: secretOf('renter'), HOST: secretOf('host') });
      expect(readdirSync(place.folder)).toEqual(['.env']);
    }
  });

  it('of two at once for one entry', async () => {
    const { create, place, secretOf, service } = await account();
    const calls = await Promise.all([create('renter'), create('host')]);
    expect(calls.map(({ status }) => status).sort()).toEqual([0, 1]);
    expect(service.webhooks).toHaveLength(1);
    expect(Object.values(parse(place.read('.env')))).toEqual([secretOf('renter') || secretOf('host')]);
  });
});

describe('rotate-secret replaces the entry that holds the old secret', () => {
  it('whichever it is, of several webhooks', async () => {
    const { create, call, place, secretOf } = await account();
    await create('renter');
    await create('host', '--env-name', 'VAST_SECRET_HOST');
    for (const name of ['host', 'renter', 'host']) {
      expect(await call(['rotate-secret', name])).toMatchObject({ status: 0 });
      const entries = { VAST_WEBHOOK_SECRET: secretOf('renter'), VAST_SECRET_HOST: secretOf('host') };
      expect(parse(place.read('.env'))).toEqual(entries);
    }
  });

  it.each([
    ['the entry of another one', ['--env-name', 'VAST_WEBHOOK_SECRET'], /is the secret of webhook 42/],
    ['a file that nobody knows about', ['--secret-file', 'secret'], /whose secret .*secret holds/],
  ])('and refuses %s before it rotates', async (_, args, message) => {
    const { create, call, place, changes, secretOf } = await account();
    await create('renter');
    await create('host', '--env-name', 'VAST_SECRET_HOST');
    place.write('secret', 'of-somebody');
    const { status, err } = await call(['rotate-secret', 'host', ...args]);
    expect(err).toMatch(message);
    expect(err).toContain('--replace');
    expect(status).toBe(1);
    expect(changes()).toBe(2);
    expect(parse(place.read('.env')).VAST_WEBHOOK_SECRET).toBe(secretOf('renter'));
    expect(place.read('secret')).toBe('of-somebody');
  });

  it('and asks for the name where it is ambiguous: an entry written by hand, and two webhooks', async () => {
    const { create, call, place, changes } = await account();
    await create('renter', '--secret-file', 'a');
    await create('host', '--secret-file', 'b');
    place.write('.env', 'VAST_WEBHOOK_SECRET=written-by-hand\n');
    const { status, err } = await call(['rotate-secret', 'host']);
    expect(err).toContain('whose secret VAST_WEBHOOK_SECRET of .env holds');
    expect(err).toContain('--env-name');
    expect(status).toBe(1);
    expect(changes()).toBe(2);
    expect(await call(['rotate-secret', 'host', '--secret-file', 'b', '--replace'])).toMatchObject({ status: 0 });
  });

  it('does not believe a mark above a value that somebody has changed', async () => {
    const { create, call, place, changes } = await account();
    await create('renter');
    await create('host', '--env-name', 'VAST_SECRET_HOST');
    place.write('.env', place.read('.env').replace(/(VAST_SECRET_HOST=).*/, '$1put-here-by-hand'));
    const { status, err } = await call(['rotate-secret', 'host']);
    expect(err).toContain('--env-name');
    expect(status).toBe(1);
    expect(changes()).toBe(2);
  });

  it('takes the entry of an only webhook for its own, but not when serve reads labelled secrets', async () => {
    const { create, call, place, secretOf, changes } = await account();
    await create('renter', '--secret-file', 'a');
    place.write('.env', 'VAST_WEBHOOK_SECRET=written-by-hand\n');
    expect(await call(['rotate-secret', 'renter'])).toMatchObject({ status: 0 });
    expect(parse(place.read('.env'))).toEqual({ VAST_WEBHOOK_SECRET: secretOf('renter') });
    place.write('.env', 'VAST_WEBHOOK_SECRETS=client=one,host=two\n');
    const { status, err } = await call(['rotate-secret', 'renter']);
    expect(err).toContain('VAST_WEBHOOK_SECRETS');
    expect(status).toBe(1);
    // Beside them it would be one that `serve` refuses.
    const created = await create('host');
    expect(created.err).toContain('VAST_WEBHOOK_SECRETS');
    expect(created.status).toBe(1);
    expect(changes()).toBe(2);
    const told = await call(['rotate-secret', 'renter', '--env-name', 'RENTER']);
    expect(told.err).toContain('Put it into VAST_WEBHOOK_SECRETS, too');
  });

  it('loses none of two rotations at once into one .env', async () => {
    for (let pair = 0; pair < 8; pair++) {
      const { create, call, place, secretOf } = await account();
      await create('renter', '--env-name', 'RENTER');
      await create('host', '--env-name', 'HOST');
      const calls = await Promise.all(['renter', 'host'].map((name) => call(['rotate-secret', name])));
      expect(calls.map(({ status }) => status)).toEqual([0, 0]);
      expect(parse(place.read('.env'))).toEqual({ RENTER: secretOf('renter'), HOST: secretOf('host') });
    }
  });

  it('keeps the last secret of two rotations of one webhook at once', async () => {
    const { create, call, place, secretOf } = await account();
    await create('renter');
    await Promise.all([1, 2, 3].map(() => call(['rotate-secret', 'renter'])));
    expect(parse(place.read('.env'))).toEqual({ VAST_WEBHOOK_SECRET: secretOf('renter') });
  });

  it('keeps the secret that arrives after Ctrl-C', async () => {
    const { create, call, place, service } = await account();
    await create('renter');
    const { webhook_secret: _, ...webhook } = service.webhooks[0] as (typeof service.webhooks)[number];
    service.failNext(failures.json(200, { success: true, webhooks: [webhook] }));
    let interrupt = () => {};
    service.failNext((res) => {
      interrupt();
      const answer = { success: true, webhook: { ...webhook, webhook_secret: 'the-secret-after-the-interruption' } };
      const send = () => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
      setTimeout(send, 100);
    });
    const rotating = call(['rotate-secret', 'renter'], { onStart: (io) => (interrupt = io.interrupt) });
    expect(await rotating).toMatchObject({ status: 0 });
    expect(parse(place.read('.env'))).toEqual({ VAST_WEBHOOK_SECRET: 'the-secret-after-the-interruption' });
  });
});

describe('the lock on a file', () => {
  it('of a process that has ended holds up nobody', async () => {
    const { create, place } = await account();
    await leaveLock(place.path('.env.vast-webhook.lock'));
    expect(await create('renter')).toMatchObject({ status: 0 });
    expect(readdirSync(place.folder)).toEqual(['.env']);
  });
});

describe('a file that others can read', () => {
  it.skipIf(process.platform === 'win32').each([
    ['.env', []],
    ['secret', ['--secret-file', 'secret']],
  ])('%s is reported, and keeps its mode', async (file, args) => {
    const { create, place } = await account();
    place.write(file, '');
    chmodSync(place.path(file), 0o644);
    const { status, err } = await create('renter', ...args);
    expect(status).toBe(0);
    expect(err).toContain(`Others on this machine can read ${file} (mode 0644)`);
    expect(err).toContain(`chmod 600 ${file}`);
    expect(statSync(place.path(file)).mode & 0o777).toBe(0o644);
  });
});
