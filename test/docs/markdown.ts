import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A Markdown file of the repository, or a made-up one. */
export interface Page {
  /** From the root, such as `docs/write-a-sink.md`. */
  readonly path: string;
  readonly text: string;
}

/** A fenced block of a page. */
export interface Block {
  readonly page: Page;
  /** `ts`, `sh` and so on; empty where the fence says nothing. */
  readonly language: string;
  readonly code: string;
  /** Of the first line of code, from 1. */
  readonly line: number;
  /** Why it is not checked, where a `<!-- not checked: ... -->` before the fence says so. */
  readonly notChecked?: string;
}

/** All that is written for people: each Markdown file of the repository, but for those that a tool writes. */
export function pages(): Page[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', '*.md'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .filter((path) => path !== '' && !path.startsWith('api-reports/') && existsSync(join(root, path)))
    .map(pageAt);
}

export function pageAt(path: string): Page {
  return { path, text: readFileSync(join(root, path), 'utf8') };
}

const fence = /^( *)```(\w*)\n([\s\S]*?)^\1```$/gm;

export function blocksOf(page: Page): Block[] {
  return [...page.text.matchAll(fence)].map(({ index, 1: indent = '', 2: language = '', 3: code = '' }) => {
    const before = page.text.slice(0, index);
    return {
      page,
      language,
      code: code.replace(new RegExp(`^${indent}`, 'gm'), ''),
      line: before.split('\n').length + 1,
      notChecked: /<!-- not checked: (\S.*?) -->\n *$/.exec(before)?.[1],
    };
  });
}

/** The page with its code blanked, line for line. */
function prose({ text }: Page): string {
  return text.replace(fence, (block) => block.replace(/[^\n]/g, ' '));
}

/** What stands between single backticks, with its line. */
export function codeSpansOf(page: Page): { readonly code: string; readonly line: number }[] {
  return [...prose(page).matchAll(/`([^`\n]+)`/g)].map(({ index, 1: code = '' }) => ({
    code,
    line: lineAt(page, index),
  }));
}

export interface Link {
  /** Where it stands: `README.md:12`. */
  readonly at: string;
  /** The file or folder, from the root. */
  readonly target: string;
  /** The heading that it leads to. */
  readonly anchor: string | undefined;
}

/** The relative links of a page. */
export function linksOf(page: Page): Link[] {
  return [...prose(page).matchAll(/\[[^\]]*\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)/g)].flatMap(
    ({ index, 1: link = '' }) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? page.path : normalize(join(dirname(page.path), file));
      return [{ at: `${page.path}:${lineAt(page, index)}`, target, anchor }];
    },
  );
}

/** Relative links that lead nowhere: to no file, or to no heading of a page. */
export function brokenLinksOf(page: Page): string[] {
  return linksOf(page).flatMap(({ at, target, anchor }) => {
    if (target !== page.path && !existsSync(join(root, target))) return [`${at}: there is no ${target}`];
    if (anchor === undefined) return [];
    const anchors = anchorsOf(target === page.path ? page : pageAt(target));
    return anchors.includes(anchor) ? [] : [`${at}: ${target} has no heading #${anchor}`];
  });
}

/** As GitHub makes them of headings. */
function anchorsOf(page: Page): string[] {
  const counts = new Map<string, number>();
  return [...prose(page).matchAll(/^#+ +(.+)$/gm)].map(([, heading = '']) => {
    const slug = heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
      .replaceAll(' ', '-');
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
}

function lineAt({ text }: Page, index: number): number {
  return text.slice(0, index).split('\n').length;
}
