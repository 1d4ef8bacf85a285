/**
 * Checks what users get: the packed tarball, in projects that hold nothing else. Needs no network. With a folder as its
 * argument, it leaves the tarball there, so that the checked tarball can be published.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of all that is installed, the command with its libraries included, and of what the middleware alone is made of. */
const sizeLimit = '395 kB';
const middlewareLimit = '60 kB';
const middleware = ['index.js', 'koa.js', 'index.d.ts', 'koa.d.ts'];

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const work = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
const destination = process.argv[2] ? resolve(process.argv[2]) : work;

const tsc = join(modules, 'typescript/bin/tsc');
const nodeTypes = { '@types/node': '@types/node' };

/** Projects in test/consumers. `links`: what else is installed, by its name there and its folder in node_modules. */
const consumers = [
  { what: 'ES modules, run', folder: 'esm', args: ['index.mjs'] },
  { what: 'CommonJS, run', folder: 'cjs', args: ['index.cjs'] },
  ...[
    ['NodeNext, ES modules', 'module', '--module', 'nodenext'],
    ['NodeNext, CommonJS', 'commonjs', '--module', 'nodenext'],
    ['Node16, CommonJS', 'commonjs', '--module', 'node16'],
    ['bundler', 'module', '--module', 'esnext', '--moduleResolution', 'bundler'],
    ['node10', 'commonjs', '--module', 'commonjs', '--moduleResolution', 'node10', '--ignoreDeprecations', '6.0'],
  ].map(([what, type, ...flags]) => ({
    what: `TypeScript, ${what}`,
    folder: 'types',
    type,
    args: [tsc, '-p', '.', ...flags],
    links: nodeTypes,
  })),
  ...[
    ['Express 5', 'express', { '@types/express': '@types/express' }],
    ['Express 4', 'express', { '@types/express': '@types/express4' }],
    ['Koa 3', 'koa', { '@types/koa': '@types/koa' }],
    ['Koa 2', 'koa', { '@types/koa': '@types/koa2' }],
    ['@koa/router', 'koa-router', { '@koa/router': '@koa/router', '@types/koa': '@types/koa' }],
  ].map(([what, folder, links]) => ({
    what: `TypeScript, beside the types of ${what}`,
    folder,
    type: 'module',
    args: [tsc, '-p', '.', '--module', 'nodenext'],
    links: { ...nodeTypes, ...links },
  })),
];

let failures = 0;

try {
  run('npm', ['run', 'build']);
  const [{ filename, size, entryCount }] = JSON.parse(
    run('npm', ['pack', '--json', '--pack-destination', destination]),
  );
  const tarball = join(destination, filename);

  for (const consumer of consumers) check(consumer.what, () => checkConsumer(consumer, tarball));
  check('the command, run', () => {
    const folder = mkdtempSync(join(work, 'command-'));
    run('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1']);
    const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const main = join(folder, bin['vast-webhook']);
    for (const args of [['--version'], ['serve', '--help'], ['types', '--help']])
      run(process.execPath, [main, ...args]);
  });
  check('an error of the library, shown in lines that point at something', () => {
    const folder = mkdtempSync(join(work, 'error-'));
    run('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1']);
    symlinkSync(modules, join(folder, 'node_modules'), 'dir');
    for (const call of [
      "import('./dist/esm/index.js').then((m) => m",
      "Promise.resolve(require('./dist/cjs/index.js')).then((m) => m",
    ]) {
      const { stderr } = spawnSync(process.execPath, ['-e', `${call}.vastWebhook(process.env.NOPE))`], {
        cwd: folder,
        encoding: 'utf8',
      });
      const isReadable = stderr.includes('TypeError: the secret') && stderr.indexOf('TypeError: ') < 500;
      if (!isReadable || /:1:\d+\)/.test(stderr))
        throw new Error(`minified code in an error: ${stderr.slice(0, 1000)}`);
    }
  });
  check('the licence of each library in the command', () => {
    const text = run('tar', ['-xzOf', tarball, 'package/dist/cli/LICENSES.txt']);
    for (const name of ['commander', 'dotenv', 'picocolors']) {
      if (!new RegExp(`^${name} \\d.*\\n\\n[^]*?copyright`, 'im').test(text))
        throw new Error(`no licence text of ${name}`);
    }
  });
  check('npm publish, as a dry run without a word of warning', checkPublish);
  check('publint', () => runTool('publint/src/cli.js', ['run', tarball, '--strict']));
  check('are the types wrong', () =>
    runTool('@arethetypeswrong/cli/dist/index.js', [tarball, '--no-definitely-typed']),
  );
  check(`packed size ${size} bytes in ${entryCount} files, limit ${sizeLimit}`, () => checkSize(tarball, sizeLimit));
  check(`packed size of the middleware and all that it imports, limit ${middlewareLimit}`, () =>
    checkSize(packMiddleware(tarball), middlewareLimit),
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
if (failures > 0) {
  console.error(`\n${failures} checks of the package failed`);
  process.exitCode = 1;
}

function checkConsumer({ folder, type = 'commonjs', args, links = {} }, tarball) {
  const project = mkdtempSync(join(work, `${folder}-`));
  cpSync(join(root, 'test/consumers', folder), project, { recursive: true });
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type }));
  const installed = join(project, 'node_modules/vast-webhook');
  mkdirSync(installed, { recursive: true });
  run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
  for (const [name, source] of Object.entries({ 'raw-body': 'raw-body', ...links })) {
    const link = join(project, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(modules, source), link, 'dir');
  }
  run(process.execPath, args, project);
}

/** The package without modules that only other entries import. */
function packMiddleware(tarball) {
  const folder = mkdtempSync(join(work, 'middleware-'));
  run('tar', ['-xzf', tarball, '-C', folder]);
  const needed = new Set(['package/package.json', 'package/LICENSE']);
  for (const format of ['esm', 'cjs']) {
    for (const entry of middleware) addWithImports(join('package/dist', format, entry), folder, needed);
  }
  const packed = join(folder, 'middleware.tgz');
  // Twins side by side, as npm packs them.
  const files = [...needed].sort((a, b) => basename(a).localeCompare(basename(b)));
  run('tar', ['-czf', packed, '-C', folder, ...files]);
  return packed;
}

function addWithImports(file, folder, needed) {
  if (needed.has(file)) return;
  needed.add(file);
  for (const [, specifier] of readFileSync(join(folder, file), 'utf8').matchAll(/["'](\.[^"']*\.js)["']/g)) {
    const imported = join(dirname(file), specifier);
    addWithImports(file.endsWith('.d.ts') ? imported.replace(/\.js$/, '.d.ts') : imported, folder, needed);
  }
}

function checkPublish() {
  const dryRun = ['publish', '--dry-run', '--ignore-scripts', '--loglevel=warn'];
  // It would not run dry again for a version that has been published.
  const { status, stdout, stderr } = spawnSync('npm', [...dryRun, '--force'], { cwd: root, encoding: 'utf8' });
  const expected = /using --force|requires you to be logged in/;
  const warnings = stderr.split('\n').filter((line) => /^npm (warn|error)/.test(line) && !expected.test(line));
  if (status !== 0 || warnings.length > 0) throw Object.assign(new Error(warnings.join('\n') || stderr), { stdout });
}

function checkSize(path, limit) {
  const config = join(work, '.size-limit.json');
  writeFileSync(config, JSON.stringify([{ path, limit, brotli: false }]));
  runTool('size-limit/bin.js', ['--config', config]);
}

function runTool(file, args) {
  return run(process.execPath, [join(modules, file), ...args]);
}

function run(command, args, cwd = root) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function check(what, body) {
  try {
    body();
    console.log(`ok      ${what}`);
  } catch (error) {
    failures++;
    console.log(`FAILED  ${what}`);
    console.log(`\n${error.message}\n${error.stdout ?? ''}`);
  }
}
