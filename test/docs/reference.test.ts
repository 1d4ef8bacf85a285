/** Tables in docs/reference, held to the code that they describe. */
import { describe, expect, it } from 'vitest';
import { run } from '../../src/cli/program.js';
import { answerFor, type Code } from '../../src/contracts/answer.js';
import { fakeIo } from '../support/io.js';
import { pageAt, root } from './markdown.js';
import { sourcesOfExports } from './type-check.js';

/** The rows of a page's tables, as cells. */
function rowsOf(path: string): string[][] {
  const lines = pageAt(path).text.match(/^\|.*\|$/gm) ?? [];
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}

function codesIn(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** The members of an interface in the report of the public types. */
function membersOf(name: string): string[] {
  const [, body = ''] =
    new RegExp(`interface ${name}<.*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(pageAt('api-reports/index.api.md').text) ?? [];
  return [...body.matchAll(/^ {4}readonly (\w+)\?:/gm)].map(([, member = '']) => member);
}

describe('docs/reference/answers.md', () => {
  const rows = rowsOf('docs/reference/answers.md').filter(([, status = '']) =>
    /^(\d{3}|none|the handler)/.test(status),
  );
  const statusOf = new Map(rows.flatMap(([codes, status = '']) => codesIn(codes).map((code) => [code, status])));

  it('has each code, with its status', () => {
    const codes = /export type Code =([^;]*);/.exec(pageAt('src/contracts/answer.ts').text)?.[1]?.match(/\w+/g) ?? [];
    expect([...statusOf.keys()].sort()).toEqual([...codes].sort());
    for (const [code, status] of statusOf) {
      const { status: expected, retryAfter } = answerFor(code as Code);
      if (expected !== 0) expect([code, status]).toEqual([code, `${expected}${retryAfter ? ' + Retry-After' : ''}`]);
    }
  });
});

it('docs/reference/options.md has each option', () => {
  const options = membersOf('WebhookOptions');
  expect(options.length).toBeGreaterThan(10);
  const documented = rowsOf('docs/reference/options.md').filter((cells) => cells.length === 3);
  expect(documented.flatMap(([name]) => codesIn(name)).sort()).toEqual([...options].sort());
});

it('docs/reference/names.md has each name of each entry', async () => {
  const documented = new Map<string, string[]>();
  for (const [imports, names] of rowsOf('docs/reference/names.md')) {
    for (const entry of codesIn(imports)) {
      const name = entry.startsWith('/') ? `vast-webhook${entry}` : entry;
      documented.set(name, codesIn(names).sort());
    }
  }
  const actual = new Map<string, string[]>();
  for (const [name, [source = '']] of Object.entries(sourcesOfExports())) {
    actual.set(name, Object.keys(await import(`${root}${source}`)).sort());
  }
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(actual));
});

it('docs/know-what-is-promised.md says of each sink how a repeat can be recognised', async () => {
  const wrappers = ['alerting', 'digest', 'log', 'outboxFile', 'quiet'];
  const sinks = Object.keys(await import('../../src/sinks/index.js')).filter((name) => !wrappers.includes(name));
  const documented = rowsOf('docs/know-what-is-promised.md').flatMap(([name]) => codesIn(name));
  expect(documented).toEqual(expect.arrayContaining(sinks));
});

it('docs/reference/command-line.md has each subcommand', async () => {
  const io = fakeIo({ cwd: root });
  await run(['--help'], io, '0.0.0');
  const [, commands = ''] = /\nCommands:\n([\s\S]*)$/.exec(io.out) ?? [];
  const names = [...commands.matchAll(/^ {2}([\w-]+)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'help');
  expect(names.length).toBeGreaterThan(10);
  const documented = rowsOf('docs/reference/command-line.md').flatMap(([cell]) => codesIn(cell));
  for (const name of names) expect(documented.map((text) => text.split(' ')[0])).toContain(name);
});
