import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand, temporaryFolder } from '../running.js';
import { secret } from '../serving.js';

/** What is wrong, and the value that is wrong. */
const faults = {
  store: [
    ['another scheme', 'mysql://h/db', /must be memory, sqlite:FILE/],
    ['a password that ends early', 'redis://:a/b@h/', /a \/, \?, # or @ in the password/],
    ['a password that is not encoded', 'redis://:a%@h/', /the password has a %/],
    ['a folder that is not there', 'sqlite:nowhere/x.db', /cannot be used/],
    ['a server that is not there', 'postgres://u@127.0.0.1:1/db', /cannot be used/],
  ],
  outbox: [['a folder that is not there', 'nowhere/x.db', /cannot be used/]],
} as const;

const cases = Object.entries(faults).flatMap(([key, list]) =>
  list.map(([what, value, message]) => [key, what, value, message] as const),
);

describe('an error of serve names the place of', () => {
  it.each(cases)('%s: %s', async (key, _, value, message) => {
    const cwd = temporaryFolder();
    const variable = `VAST_WEBHOOK_${key.toUpperCase()}`;
    writeFileSync(join(cwd, 'vast.json'), JSON.stringify({ sinks: [], [key]: value }));
    const errorOf = async (args: readonly string[], env = {}) => {
      const called = await runCommand(['serve', '--port', '0', '--log-events', ...args], {
        cwd,
        env: { VAST_WEBHOOK_SECRET: secret, ...env },
      });
      expect(called.status).toBe(1);
      expect(called.err).toMatch(message);
      return called.err;
    };
    const config = ['--config', 'vast.json'];
    const starts = (where: string) => new RegExp(`^vast-webhook: ${where}[: ]`);
    expect(await errorOf(config)).toMatch(starts(`vast.json: ${key}`));
    expect(await errorOf(config, { [variable]: value })).toMatch(starts(variable));
    expect(await errorOf([...config, `--${key}`, value], { [variable]: 'other' })).toMatch(starts(`--${key}`));
  });

  it('a path that was given as an option, beside a config', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'vast.json'), '{}');
    const { status, err } = await runCommand(
      ['serve', '--port', '0', '--log-events', '--config', 'vast.json', '--path', 'no-slash?'],
      { cwd, env: { VAST_WEBHOOK_SECRET: secret } },
    );
    expect([status, err]).toEqual([2, expect.stringMatching(/^vast-webhook: --path must /)]);
  });
});
