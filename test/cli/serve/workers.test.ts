import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand, temporaryFolder } from '../running.js';
import { secret } from '../serving.js';

const store = ['--store', 'sqlite:events.db'];
const two = ['--workers', '2'];

interface Setting {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string | object>>;
}

async function refusal(args: readonly string[], { env = {}, files = {} }: Setting = {}) {
  const cwd = temporaryFolder();
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(cwd, name), typeof content === 'string' ? content : JSON.stringify(content));
  const all = ['serve', '--port', '0', '--log-events', ...args];
  const { status, out, err } = await runCommand(all, { cwd, env: { VAST_WEBHOOK_SECRET: secret, ...env } });
  expect(out).toBe('');
  return { status, err };
}

describe('serve --workers', () => {
  it.each(['0', '65', '-1', '1.5', '1e1', 'two', '', ' 2', '0x2'])('is refused with %j', async (count) => {
    expect(await refusal(['--workers', count])).toEqual({
      status: 2,
      err: expect.stringMatching(/'--workers <number>'.*It must be a whole number from 1 to 64\./),
    });
  });

  it.each([0, 65, 1.5, 'two', true, null, { of: 2 }, ''])(
    'is refused as %j in a config and in a variable',
    async (workers) => {
      const message = /must be a whole number from 1 to 64\n$/;
      const json = await refusal([...store, '--config', 'a.json'], { files: { 'a.json': { workers } } });
      expect(json.err).toMatch(message);
      expect(json).toMatchObject({ status: 1, err: expect.stringContaining('a.json: workers') });
      const text = `export default { workers: ${JSON.stringify(workers)} };`;
      expect((await refusal([...store, '--config', 'a.mjs'], { files: { 'a.mjs': text } })).err).toMatch(message);
      // An empty variable is none.
      const env = { VAST_WEBHOOK_WORKERS: String(workers) || 'none' };
      expect((await refusal(store, { env })).err).toMatch(/^vast-webhook: VAST_WEBHOOK_WORKERS must be a whole number/);
    },
  );

  it.each<[string, readonly string[], Setting]>([
    ['no store', two, {}],
    ['--store memory', [...two, '--store', 'memory'], {}],
    ['an outbox and no store', [...two, '--outbox', 'outbox.db'], {}],
    ['a variable', [], { env: { VAST_WEBHOOK_WORKERS: '2' } }],
    ['a JSON config', ['--config', 'a.json'], { files: { 'a.json': { workers: 2 } } }],
    [
      'a module with a store in memory',
      ['--config', 'a.mjs'],
      {
        files: {
          // As memoryStore() marks itself.
          'a.mjs': `export default { workers: 2, store: { [Symbol.for('vast-webhook.in-memory')]: true } };`,
        },
      },
    ],
  ])('needs a store that workers share: %s', async (_, args, setting) => {
    expect(await refusal(args, setting)).toEqual({
      status: 2,
      err: expect.stringMatching(
        /^vast-webhook: several workers need a store that they share.*give --store sqlite:FILE/,
      ),
    });
  });

  it.each([{ digest: { everyMs: 60_000 } }, { quiet: { perMinute: 1 } }])(
    'refuses a sink with %j',
    async (batching) => {
      const sinks = [{ url: 'discord://1/token', name: 'ops', ...batching }];
      const args = [...two, ...store, '--outbox', 'outbox.db', '--config', 'a.json'];
      expect(await refusal(args, { files: { 'a.json': { sinks } } })).toEqual({
        status: 2,
        err: expect.stringMatching(/the sink ops makes one message of several events.*use one worker/),
      });
    },
  );

  it('refuses alerts of each worker', async () => {
    expect(await refusal([...two, ...store, '--alert', 'discord://1/token'])).toEqual({
      status: 2,
      err: expect.stringMatching(/several workers need --outbox for alerts/),
    });
  });
});
