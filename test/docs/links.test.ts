import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokenLinksOf, codeSpansOf, linksOf, type Page, pageAt, pages, root } from './markdown.js';

const all = pages();

/** What npm packs: users read these pages in `node_modules/vast-webhook`. */
const [{ files }] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], { cwd: root, encoding: 'utf8' }),
) as [{ files: { path: string }[] }];
const packed = new Set(files.map(({ path }) => path));
const packedPages = all.filter(({ path }) => packed.has(path));

/** Links of a page that lead out of the package. */
function unpackedLinksOf(page: Page): string[] {
  return linksOf(page)
    .filter(({ target }) => !packed.has(target))
    .map(({ at, target }) => `${at}: ${target} is not in the package`);
}

const wrong: Page = {
  path: 'docs/wrong.md',
  text: `# Wrong

[a file](no-such-page.md), [a heading](#no-such-heading), [another page's](../README.md#nor-such), [good](#wrong)
[not packed](../vitest.config.ts), [a folder](../examples), [elsewhere](https://example.com/), [packed](../README.md)
`,
};

describe('every Markdown file', () => {
  it('links to files and headings that are there', () => {
    expect(all.length).toBeGreaterThan(60);
    expect(all.flatMap(brokenLinksOf)).toEqual([]);
    expect(brokenLinksOf(wrong)).toEqual([
      'docs/wrong.md:3: there is no docs/no-such-page.md',
      'docs/wrong.md:3: docs/wrong.md has no heading #no-such-heading',
      'docs/wrong.md:3: README.md has no heading #nor-such',
    ]);
  });
});

describe('every page of the package', () => {
  it('links to files that are in it, so that its links work in node_modules', () => {
    expect(packedPages.map(({ path }) => path)).toEqual(expect.arrayContaining(['README.md', 'docs/README.md']));
    expect([...packedPages, pageAt('llms.txt')].flatMap(unpackedLinksOf)).toEqual([]);
    expect(unpackedLinksOf(wrong)).toEqual([
      'docs/wrong.md:3: docs/no-such-page.md is not in the package',
      'docs/wrong.md:3: docs/wrong.md is not in the package',
      'docs/wrong.md:3: docs/wrong.md is not in the package',
      'docs/wrong.md:4: vitest.config.ts is not in the package',
      'docs/wrong.md:4: examples is not in the package',
    ]);
  });

  it('names examples that are in the repository, because it cannot link to them', () => {
    const examples = (page: Page) => codeSpansOf(page).filter(({ code }) => /^examples\//.test(code));
    expect(packedPages.flatMap(examples).length).toBeGreaterThan(10);
    const missing = packedPages.flatMap(examples).filter(({ code }) => !existsSync(join(root, code)));
    expect(missing).toEqual([]);
  });

  it('can be found from the index of the guides, and from llms.txt', () => {
    const guides = packedPages.map(({ path }) => path).filter((path) => /^docs\/(?!README)/.test(path));
    for (const index of ['docs/README.md', 'llms.txt']) {
      const linked = linksOf(pageAt(index)).map(({ target }) => target);
      expect(guides.filter((path) => !linked.includes(path))).toEqual([]);
    }
  });
});

it('each page in docs/ that is not in the package can be found from AGENTS.md', () => {
  const seen = new Set<string>();
  const follow = (path: string) => {
    if (seen.has(path) || !path.endsWith('.md')) return;
    seen.add(path);
    for (const { target } of linksOf(pageAt(path))) follow(target);
  };
  follow('AGENTS.md');
  const others = all.map(({ path }) => path).filter((path) => path.startsWith('docs/') && !packed.has(path));
  expect(others.filter((path) => !seen.has(path))).toEqual([]);
});
