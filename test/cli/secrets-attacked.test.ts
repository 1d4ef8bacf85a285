import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { parse } from 'dotenv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failures } from '../support/management-stand-in.js';
import { account } from './account.js';
import { leaveLock } from './call.js';

/** Answers the calls for a list and for a new secret; `meanwhile` happens between the two. */
function answerRotation(
  service: Awaited<ReturnType<typeof account>>['service'],
  secret: string,
  meanwhile: () => void,
) {
  const [first] = service.webhooks;
  service.failNext(failures.json(200, { success: true, webhooks: service.webhooks }));
  service.failNext((res) => {
    meanwhile();
    const answer = { success: true, webhook: { ...first, webhook_secret: secret } };
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
  });
}

const newSecret = 'the-new-secret-of-the-service-0123456789';

const value = fc.oneof(
  fc.constantFrom(
    'plain',
    '"two\nlines"',
    "'it is # no comment'",
    '`a "b" c`',
    '"VAST_WEBHOOK_SECRET=inside"',
    '',
    'x # y',
  ),
  fc.constantFrom('"never closed', "'nor this", 'ä€😀', '"VAST_WEBHOOK_SECRET=x\r\nB=2"', 'a=b=c', ' spaced '),
);
const name = fc.constantFrom('A', 'B', 'VAST_API', 'x.y-z', 'VAST_WEBHOOK_SECRET', 'VAST_WEBHOOK_SECRET_2');
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom('', 'export ', '  '), name, fc.constantFrom('=', ' = ', ': '), value)
      .map((each) => each.join('')),
  },
  fc.constantFrom('# a comment', '#VAST_WEBHOOK_SECRET=old', '', 'no entry at all', '\t'),
);
const envFile = fc
  .record({
    lines: fc.array(line, { maxLength: 8 }),
    newline: fc.constantFrom('\n', '\r\n', '\n\n'),
    mark: fc.constantFrom('', '\uFEFF'),
    end: fc.boolean(),
  })
  .map(({ lines, newline, mark, end }) => mark + lines.join(newline) + (end ? newline : ''));

describe('an .env of any form', () => {
  it('keeps each byte but the entry, or is refused before a secret is asked for', async () => {
    const { service, place, create, call, changes, secretOf } = await account();
    await fc.assert(
      fc.asyncProperty(envFile, fc.constantFrom('create', 'rotate'), async (text, what) => {
        service.webhooks.length = 0;
        await create('renter', '--secret-file', 'elsewhere', '--replace');
        place.write('.env', text);
        const before = changes();
        const { status } =
          what === 'create' ? await create('host') : await call(['rotate-secret', 'renter', '--replace']);
        const after = place.read('.env');
        expect(readdirSync(place.folder).sort()).toEqual(['.env', 'elsewhere']);
        if (status !== 0) {
          expect([changes(), after]).toEqual([before, text]);
          return;
        }
        const secret = secretOf(what === 'create' ? 'host' : 'renter');
        expect(parse(after)).toEqual({ ...parse(text), VAST_WEBHOOK_SECRET: secret });
        // What is left when the entry and its comment are taken out stood there before, in this order.
        const rest = after
          .replace(/^# Signing secret of Vast\.ai webhook \d+ \(sha256 [\da-f]{8}\)\r?\n/m, '')
          .split(secret);
        expect(rest).toHaveLength(2);
        const [head = '', tail = ''] = rest;
        const appended = /(\r?\n)?VAST_WEBHOOK_SECRET=$/;
        const isAppended = tail.trim() === '' && text.startsWith(head.replace(appended, ''));
        expect(isAppended || (text.startsWith(head) && text.endsWith(tail))).toBe(true);
      }),
      { numRuns: Number(process.env.ENV_RUNS ?? 150), seed: Number(process.env.ENV_SEED ?? 15) },
    );
  });

  it.each([
    ['Latin-1', Buffer.from('DB_PASSWORD=caf\xE9\n', 'latin1')],
    ['UTF-16', Buffer.from('\uFEFFDB_PASSWORD=x\n', 'utf16le')],
    ['a NUL', Buffer.from('A=1\0\n')],
  ])('that is not UTF-8 text is refused before a secret is asked for: %s', async (_, bytes) => {
    const { place, create, changes } = await account();
    place.write('.env', bytes);
    const { status, err } = await create('renter');
    expect(err).toContain('.env is not UTF-8 text');
    expect([status, changes()]).toEqual([1, 0]);
    expect(readFileSync(place.path('.env'))).toEqual(bytes);
  });
});

describe("a rotation of an account's only webhook", () => {
  it.each([
    ['an API key', 'VAST_API_KEY2', ['--env-name', 'VAST_API_KEY2']],
    ['a database', 'DATABASE_URL', ['--env-name', 'DATABASE_URL']],
  ])('does not take %s for its secret', async (_, entry, args) => {
    const { create, call, place, changes } = await account();
    await create('renter', '--secret-file', 'a');
    place.write('.env', `${entry}=the-only-copy\n`);
    const { status, err } = await call(['rotate-secret', 'renter', ...args]);
    expect(err).toContain('--replace');
    expect([status, changes()]).toEqual([1, 1]);
    expect(parse(place.read('.env'))[entry]).toBe('the-only-copy');
  });

  it.each(['db.password=hunter2', 'db-password:hunter2', 'https://me:hunter2@example.com/x'])(
    'does not take a file with %s for a secret',
    async (content) => {
      const { create, call, place, changes } = await account();
      await create('renter', '--secret-file', 'a');
      place.write('file', content);
      const { status, err } = await call(['rotate-secret', 'renter', '--secret-file', 'file', '--replace']);
      expect(err).toContain('holds more than a secret');
      expect([status, changes(), place.read('file')]).toEqual([1, 1, content]);
    },
  );

  it('asks which entry is meant when two hold its secret', async () => {
    const { create, call, place, changes } = await account();
    await create('renter');
    const entry = place.read('.env');
    place.write('.env', entry + entry.replace('VAST_WEBHOOK_SECRET=', 'COPY_OF_SECRET='));
    const before = place.read('.env');
    const { status, err } = await call(['rotate-secret', 'renter']);
    expect(err).toMatch(/VAST_WEBHOOK_SECRET and COPY_OF_SECRET.*--env-name/);
    expect([status, changes(), place.read('.env')]).toEqual([1, 1, before]);
  });
});

describe('a secret that has been given', () => {
  it('stays in a file beside the one that cannot be changed any more, and is not printed', async () => {
    const { create, call, place, service } = await account();
    await create('renter');
    const old = parse(place.read('.env')).VAST_WEBHOOK_SECRET;
    answerRotation(service, newSecret, () => place.write('.env', 'VAST_WEBHOOK_SECRET=somebody-elses\n'));
    const { status, out, err } = await call(['rotate-secret', 'renter']);
    expect(status).toBe(1);
    expect(err).toContain('somebody has changed VAST_WEBHOOK_SECRET meanwhile');
    expect(err).toContain('it is in .env.vast-webhook.tmp');
    expect(out + err).not.toContain(newSecret);
    expect(place.read('.env')).toBe('VAST_WEBHOOK_SECRET=somebody-elses\n');
    expect(place.read('.env.vast-webhook.tmp')).toContain(newSecret);
    expect(old).not.toBe(newSecret);
    // Nor is that one overwritten.
    const again = await call(['rotate-secret', 'renter', '--replace']);
    expect(again).toMatchObject({ status: 1, err: expect.stringContaining('.env.vast-webhook.tmp holds') });
    expect(place.read('.env.vast-webhook.tmp')).toContain(newSecret);
    rmSync(place.path('.env.vast-webhook.tmp'));
    expect(await call(['rotate-secret', 'renter', '--replace'])).toMatchObject({ status: 0 });
  });

  it.skipIf(process.platform === 'win32')('reaches each name of a file that has several', async () => {
    const { create, call, place, secretOf } = await account();
    place.write('shared.env', 'A=1\n');
    linkSync(place.path('shared.env'), place.path('.env'));
    symlinkSync('.env', place.path('link.env'));
    expect(await create('renter', '--env-file', 'link.env')).toMatchObject({ status: 0 });
    expect(await call(['rotate-secret', 'renter'])).toMatchObject({ status: 0 });
    for (const each of ['shared.env', '.env', 'link.env']) {
      expect(parse(place.read(each))).toEqual({ A: '1', VAST_WEBHOOK_SECRET: secretOf('renter') });
    }
    expect(readdirSync(place.folder).sort()).toEqual(['.env', 'link.env', 'shared.env']);
  });

  it('is taken also from an answer whose webhook has no number', async () => {
    const { create, call, place, service } = await account();
    await create('renter');
    const { webhook_secret: _, ...webhook } = service.webhooks[0] as (typeof service.webhooks)[number];
    service.failNext(failures.json(200, { success: true, webhooks: [webhook] }));
    service.failNext(failures.json(200, { success: true, webhook: { webhook_secret: newSecret } }));
    expect(await call(['rotate-secret', 'renter'])).toMatchObject({ status: 0 });
    expect(parse(place.read('.env'))).toEqual({ VAST_WEBHOOK_SECRET: newSecret });
  });

  it('and was lost with the answer: what to do is said', async () => {
    const { create, call, service } = await account();
    await create('renter');
    service.failNext(failures.json(200, { success: true, webhooks: service.webhooks }));
    service.failNext(failures.breakOff);
    const { status, err } = await call(['rotate-secret', 'renter']);
    expect([status, err]).toEqual([1, expect.stringContaining('rotate it again')]);
    service.failNext(failures.json(200, { webhooks: [], notification_types: [{ key: 'client:outbid' }] }), 2);
    service.failNext(failures.disconnect);
    expect((await create('host', '--env-name', 'HOST')).err).toContain('rotate-secret');
  });
});

describe('what an interrupted run has left', () => {
  it('is removed when no secret is in it, and said', async () => {
    const { create, place } = await account();
    writeFileSync(place.path('.env.vast-webhook.tmp'), ' '.repeat(2_000));
    await leaveLock(place.path('.env.vast-webhook.lock'));
    const { status, err } = await create('renter');
    expect([status, err]).toEqual([0, expect.stringContaining('An earlier run ended while it waited for a secret')]);
    expect(readdirSync(place.folder)).toEqual(['.env']);
  });
});

describe('what is no file', () => {
  it.each(['/dev/null', '/dev/zero', 'folder'])('cannot keep a secret: %s', async (path) => {
    const { create, changes, place } = await account();
    mkdirSync(place.path('folder'));
    const { status, err } = await create('one', '--secret-file', path);
    expect([status, changes()]).toEqual([1, 0]);
    expect(err).toContain(`could not be written to ${path} (it is not a file): nothing was asked for yet`);
    expect(existsSync(`${path}.vast-webhook.lock`)).toBe(false);
  });
});
