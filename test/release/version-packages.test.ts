import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

const introduction = '# Changelog\n\nThe format is based on Keep a Changelog.\n';
const older = '## [0.1.0] - 2026-01-02\n\n### Added\n\n- The beginning.\n';

/** A checkout with the release's own scripts, and these changesets by their kinds. */
function checkout(changesets: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = (name: string) => join(folder, name);
  const read = (name: string) => readFileSync(path(name), 'utf8');
  const manifest = { name: 'vast-webhook', version: '0.1.0' };
  mkdirSync(path('.changeset'));
  for (const name of ['config.json', 'changelog.cjs']) cpSync(join('.changeset', name), path(`.changeset/${name}`));
  for (const [kind, text] of Object.entries(changesets)) {
    writeFileSync(path(`.changeset/${kind}.md`), `---\n'vast-webhook': ${kind}\n---\n\n${text}\n`);
  }
  writeFileSync(path('package.json'), JSON.stringify(manifest));
  writeFileSync(path('package-lock.json'), JSON.stringify({ ...manifest, packages: { '': manifest } }));
  writeFileSync(path('CHANGELOG.md'), `${introduction}\n${older}`);
  symlinkSync(resolve('node_modules'), path('node_modules'), 'dir');
  execFileSync('git', ['init', '-q'], { cwd: folder });
  return {
    read,
    run: () =>
      execFileSync(process.execPath, [resolve('scripts/version-packages.mjs')], { cwd: folder, stdio: 'pipe' }),
    changesets: () => readdirSync(path('.changeset')).filter((name) => name.endsWith('.md')),
  };
}

describe('npm run version-packages', () => {
  it('writes the changesets in the form of Keep a Changelog, below the introduction', () => {
    const { read, run } = checkout({ minor: '- One thing.\n- And another.', patch: 'It works.\nAgain.' });
    run();
    const [section = ''] = read('CHANGELOG.md').replace(introduction, '').split(older);
    expect(section.replace(/\d{4}-\d\d-\d\d/, 'TODAY')).toBe(
      '\n## [0.2.0] - TODAY\n\n### Added\n\n- One thing.\n- And another.\n\n### Fixed\n\n- It works.\n  Again.\n\n',
    );
  });

  it('leaves the rest of the changelog as it was', () => {
    const { read, run } = checkout({ patch: 'It works.' });
    run();
    const text = read('CHANGELOG.md');
    expect([text.startsWith(introduction), text.endsWith(older)]).toEqual([true, true]);
  });

  it('sets the version of package and lock file, and uses the changesets up', () => {
    const { read, run, changesets } = checkout({ minor: 'Something new.' });
    run();
    const { version } = JSON.parse(read('package.json'));
    const lock = JSON.parse(read('package-lock.json'));
    expect([version, lock.version, lock.packages[''].version]).toEqual(['0.2.0', '0.2.0', '0.2.0']);
    expect(changesets()).toEqual([]);
  });

  it('changes nothing without a changeset', () => {
    const { read, run } = checkout({});
    run();
    expect(read('CHANGELOG.md')).toBe(`${introduction}\n${older}`);
    expect(JSON.parse(read('package.json')).version).toBe('0.1.0');
  });

  it('leaves the changelog whole when a changeset cannot be read', () => {
    const { read, run } = checkout({ huge: 'There is no such kind.' });
    expect(run).toThrow();
    expect(read('CHANGELOG.md')).toBe(`${introduction}\n${older}`);
  });
});
