/**
 * What users can import, with its types, as one file an entry in api-reports/. With `--update` they are written; without, it
 * fails when the built package has others, or when the branch has others than `main` has and no changeset says so.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import { declarationsOf, entries, subpathOf } from './entries.mjs';

const folder = 'api-reports';
const reports = makeReports();

if (process.argv.includes('--update')) update();
else check();

/** By their file names. */
function makeReports() {
  const work = mkdtempSync(join(tmpdir(), 'vast-webhook-api-'));
  try {
    const found = entries.map((entry) => ({ file: reportOf(entry), types: declarationsOf(entry) }));
    const missing = found.find(({ types }) => !existsSync(types));
    if (missing) fail([`${missing.types} is missing: npm run build`]);
    const configs = found.map((entry) => configFor(entry, work));
    // Read once for all of them.
    const compilerState = CompilerState.create(configs[0], {
      additionalEntryPoints: configs.map((config) => config.mainEntryPointFilePath),
    });
    return new Map(found.map(({ file, types }, index) => [file, makeReport(configs[index], types, compilerState)]));
  } finally {
    rmSync(work, { recursive: true });
  }
}

function reportOf(entry) {
  return `${(subpathOf(entry) || entry).replaceAll('/', '-')}.api.md`;
}

function configFor({ file, types }, work) {
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: resolve('.'),
      mainEntryPointFilePath: resolve(types),
      newlineKind: 'lf',
      compiler: { overrideTsconfig: tsconfigFor(types) },
      apiReport: {
        enabled: true,
        reportFileName: file,
        reportFolder: work,
        reportTempFolder: join(work, 'temporary'),
        // A type that cannot be imported is still a part of those that use it.
        includeForgottenExports: true,
      },
      messages: {
        extractorMessageReporting: {
          default: { logLevel: 'error' },
          // With every such type comes the file and line where it is used, and those change with every build.
          'ae-forgotten-export': { logLevel: 'none' },
          // There are no stages of release.
          'ae-missing-release-tag': { logLevel: 'none' },
          // Docstrings are checked by TypeDoc, which knows more links.
          'ae-unresolved-link': { logLevel: 'none' },
          'ae-undocumented': { logLevel: 'none' },
        },
        tsdocMessageReporting: { default: { logLevel: 'none' } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: resolve('package.json'),
  });
}

function makeReport(config, types, compilerState) {
  const { succeeded } = Extractor.invoke(config, { localBuild: true, compilerState, messageCallback });
  if (!succeeded) fail([`no report could be made of ${types}`]);
  const report = readFileSync(config.reportFilePath, 'utf8').replace(/^.*\(undocumented\)\n/gm, withoutNote);
  return report.replace(/\n```\n$/, `\n${globalsOf(types)}\`\`\`\n`);
}

/** The reports contain no docstrings. */
function withoutNote(line) {
  return line.includes('@public') ? '// @public\n' : '';
}

/** API Extractor skips global declarations such as `req.vast`. */
function globalsOf(types) {
  const texts = [...withImports(types)].map((file) => readFileSync(file, 'utf8'));
  const blocks = texts.flatMap((text) => text.match(/^declare global \{\n[\s\S]*?^\}\n/gm) ?? []);
  return blocks.map((block) => `${block.replace(/^ *\/\*\*[\s\S]*?\*\/\n/gm, '')}\n`).join('');
}

function withImports(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/ from '(\.[^']*)\.js'/g)) {
    withImports(join(dirname(file), `${name}.d.ts`), found);
  }
  return found;
}

function tsconfigFor(types) {
  const { compilerOptions } = readJson('tsconfig.json');
  return { compilerOptions: { ...compilerOptions, paths: {} }, files: [types] };
}

function messageCallback(message) {
  if (message.logLevel !== 'error') message.handled = true;
}

function update() {
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of reports) writeFileSync(join(folder, file), text);
  for (const file of committed()) if (!reports.has(file)) rmSync(join(folder, file));
}

function check() {
  const different = [...new Set([...reports.keys(), ...committed()])].filter(
    (file) => reports.get(file) !== textOf(join(folder, file)),
  );
  if (different.length > 0) {
    fail([
      `the public types are not those of ${listOf(different)}.`,
      'If they are meant to change: npm run api, look at its diff, and commit it with a changeset (npm run changeset).',
    ]);
  }
  const base = baseCommit();
  if (base === undefined) return console.log('api: as in its reports; there is no main to compare them with');
  const changed = [...reports].filter(([file, text]) => text !== textAt(base, `${folder}/${file}`));
  if (changed.length > 0 && !isAnnounced(base)) {
    fail([
      `the public types have changed since main, and no changeset says so: ${listOf(changed.map(([file]) => file))}.`,
      'Add one for the users who will notice: npm run changeset.',
    ]);
  }
  console.log(
    `api: as in its reports${changed.length > 0 ? ', and what has changed since main is in a changeset' : ''}`,
  );
}

function listOf(files) {
  return files.map((file) => `${folder}/${file}`).join(', ');
}

function committed() {
  return existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.api.md')) : [];
}

function textOf(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** The commit where this branch left main, which `changeset status` also uses. */
function baseCommit() {
  for (const ref of ['origin/main', 'main']) {
    try {
      return git('merge-base', ref, 'HEAD').trim();
    } catch {}
  }
  return undefined;
}

/** By a changeset that main lacks, or by a version that was made from it. */
function isAnnounced(base) {
  const isNew = (file) =>
    /\.md$/.test(file) && file !== 'README.md' && textAt(base, `.changeset/${file}`) === undefined;
  const { version } = JSON.parse(textAt(base, 'package.json'));
  return readdirSync('.changeset').some(isNew) || version !== readJson('package.json').version;
}

function textAt(commit, file) {
  try {
    return git('show', `${commit}:${file}`);
  } catch {
    return undefined;
  }
}

function git(...args) {
  return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function fail(lines) {
  console.error(`api: ${lines.join('\n')}`);
  process.exit(1);
}
