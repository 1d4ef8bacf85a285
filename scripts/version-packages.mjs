/** `changeset version`, with its section of CHANGELOG.md in the form of Keep a Changelog and below the introduction. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

/** By the kinds of changesets. */
const headings = { Major: 'Changed', Minor: 'Added', Patch: 'Fixed' };

const changelog = readFileSync('CHANGELOG.md', 'utf8');
let section;
try {
  // It would write below the first line of an existing file. So it writes a new file, and we copy the section.
  rmSync('CHANGELOG.md');
  execFileSync(process.execPath, ['node_modules/@changesets/cli/bin.js', 'version'], { stdio: 'inherit' });
  if (existsSync('CHANGELOG.md')) section = inOurForm(readFileSync('CHANGELOG.md', 'utf8'));
} finally {
  writeFileSync('CHANGELOG.md', section === undefined ? changelog : withSection(changelog, section));
}
if (section !== undefined) setVersionInLockFile();

function inOurForm(text) {
  const today = new Date().toISOString().slice(0, 10);
  return text
    .slice(text.indexOf('\n## ') + 1)
    .replace(/^## (.*)$/m, `## [$1] - ${today}\n`)
    .replace(/^### (\w+) Changes$/gm, (_, kind) => `### ${headings[kind]}`)
    .trim();
}

function withSection(text, added) {
  const first = text.indexOf('\n## ') + 1;
  return `${text.slice(0, first)}${added}\n\n${text.slice(first)}`;
}

/** Changesets leaves it at the old one, which `npm ci` bears, and the next `npm install` would mend unasked. */
function setVersionInLockFile() {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  lock.version = version;
  lock.packages[''].version = version;
  writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
}
