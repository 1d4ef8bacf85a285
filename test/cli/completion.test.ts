import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand, temporaryFolder } from './running.js';

/** The lines that the command answers a shell with: a word, a tab, what it is. */
async function answerTo(...words: readonly string[]): Promise<string[]> {
  const { status, out, err } = await runCommand(['__complete', '--', 'vast-webhook', ...words]);
  expect([status, err]).toEqual([0, '']);
  return out.split('\n').filter(Boolean);
}

async function wordsAfter(...words: readonly string[]): Promise<string[]> {
  return (await answerTo(...words)).map((line) => line.split('\t')[0] as string);
}

describe('completion completes', () => {
  it.each<[line: string, words: readonly string[], found: readonly string[]]>([
    ['subcommands', ['re'], ['replay']],
    ['subcommands of a subcommand', ['dead-letters', 're'], ['redeliver']],
    ['options', ['serve', '--alert'], ['--alert', '--alert-after']],
    ['options after a value that looks like a subcommand', ['serve', '--config', 'list', '--met'], ['--metrics']],
    ['the choices of an option', ['list', '--provider', ''], ['vast', 'shodai', 'v0']],
    ['those after an equals sign', ['serve', '--log=j'], ['--log=json']],
    ['event types', ['trigger', 'client:outb'], ['client:outbid']],
    ['event types of an option', ['create', '--type', 'host:machine_o'], ['host:machine_offline']],
    ['the last of a list', ['create', '--type', 'outbid,client:outb'], ['outbid,client:outbid']],
    ['the last of a list after an equals sign', ['create', '--type=a,client:outb'], ['--type=a,client:outbid']],
    ['its own shells', ['completion', ''], ['bash', 'zsh', 'fish']],
    ['nothing where a file comes', ['serve', '--config', ''], []],
    ['nothing where a text comes', ['update', ''], []],
    ['no options after two dashes', ['replay', '--', '--'], []],
    ['nothing of an option that is not there', ['serve', '--no-such=x'], []],
  ])('%s', async (_, words, found) => {
    expect(await wordsAfter(...words)).toEqual(found);
  });

  it('no subcommand that is for shells only', async () => {
    expect(await wordsAfter('')).toContain('completion');
    expect(await wordsAfter('')).not.toContain('__complete');
  });
});

describe('the descriptions have one form', () => {
  const about = (line: string) => line.slice(line.indexOf('\t') + 1);

  it('of subcommands: a sentence', async () => {
    for (const line of [...(await answerTo('')), ...(await answerTo('dead-letters', ''))]) {
      if (line.startsWith('help')) continue;
      expect(about(line)).toMatch(/^[A-Z][a-z].{10,110}\.$/);
    }
  });

  it('of options: a phrase', async () => {
    const subcommands = (await wordsAfter('')).filter((name) => name !== 'help' && name !== 'dead-letters');
    const letters = (await wordsAfter('dead-letters', '')).filter((name) => name !== 'help');
    for (const path of [...subcommands.map((name) => [name]), ...letters.map((name) => ['dead-letters', name])]) {
      for (const line of await answerTo(...path, '--')) {
        expect(`${path} ${line}`).toMatch(/\t([a-z]|Shodai: |`|\S+=)[^\n]*[^.]$/);
        expect(line).not.toContain('may be repeated');
      }
    }
  });
});

describe('the script of', () => {
  it.each(['bash', 'zsh', 'fish'])('%s is one that the shell can read', async (shell) => {
    const { status, out } = await runCommand(['completion', shell]);
    expect(status).toBe(0);
    const found = spawnSync(shell, ['-n'], { input: out, encoding: 'utf8' });
    // Only where it is installed.
    if (found.error === undefined) expect([found.status, found.stderr]).toEqual([0, '']);
  });

  it.each<[line: string, words: readonly string[], replies: readonly string[]]>([
    ['vast-webhook re', ['vast-webhook', 're'], ['replay']],
    ['vast-webhook list --provider ', ['vast-webhook', 'list', '--provider', ''], ['vast', 'shodai', 'v0']],
    ['vast-webhook trigger client:outb', ['vast-webhook', 'trigger', 'client', ':', 'outb'], ['outbid']],
    ['vast-webhook serve --log=', ['vast-webhook', 'serve', '--log', '='], ['text', 'json']],
    ['vast-webhook serve --log=j', ['vast-webhook', 'serve', '--log', '=', 'j'], ['json']],
  ])('bash completes %j, whose words it takes apart', async (line, words, replies) => {
    const folder = temporaryFolder();
    const script = (await runCommand(['completion', 'bash'])).out;
    const asked = line.split(/\s+/);
    writeFileSync(join(folder, 'answer'), `${(await answerTo(...asked.slice(1))).join('\n')}\n`);
    writeFileSync(
      join(folder, 'vast-webhook'),
      `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/asked; cat ${folder}/answer\n`,
    );
    chmodSync(join(folder, 'vast-webhook'), 0o755);
    const harness = `${script}
COMP_LINE=$1; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_vast_webhook; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', harness, 'bash', line, ...words], {
      encoding: 'utf8',
      env: { PATH: `${folder}:${process.env.PATH}` },
    });
    expect(stderr).toBe('');
    expect(stdout.split('\n').filter(Boolean)).toEqual(replies);
    expect(readFileSync(join(folder, 'asked'), 'utf8')).toBe(['__complete', '--', ...asked, ''].join('\n'));
  });

  it('no other shell is there', async () => {
    const { status, err } = await runCommand(['completion', 'tcsh']);
    expect([status, err]).toEqual([2, expect.stringContaining('bash, zsh, fish')]);
  });
});
